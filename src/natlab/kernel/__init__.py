"""The only code that touches the kernel: small functions that act in the namespaces they are called in."""
