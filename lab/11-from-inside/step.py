def build(lab):
    pass
CHECKS=[]
