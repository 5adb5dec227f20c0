"""Go's templates, as `--format` takes them: the results and messages of text/template."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import NatlabError
from natlab.model.go_template_run import Row, Template
from natlab.model.go_tokens import TemplateError

VALUE = {
    "Name": "/web",
    "Id": "0123456789ab",
    "Up": True,
    "Off": False,
    "Zero": 0,
    "Nothing": None,
    "Empty": [],
    "Args": ["a", "b", "c"],
    "Ports": {"80/tcp": [{"HostPort": "8080"}], "53/udp": None},
    "Labels": {"tier": "front", "com.x": "<y>"},
    "Deep": {"Er": {"Still": "here"}},
}


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{{.Name}}", "/web"),
        ("{{ .Name }} {{.Id}}", "/web 0123456789ab"),
        ("{{.Deep.Er.Still}}", "here"),
        ("{{.Up}}{{.Off}}{{.Zero}}{{.Nothing}}", "truefalse0<no value>"),
        ("{{.Args}} {{.Empty}} {{.Labels}}", "[a b c] [] map[com.x:<y> tier:front]"),
        ("{{json .Labels}}", '{"tier":"front","com.x":"<y>"}'),
        ("{{.Args | json}}", '["a","b","c"]'),
        ('{{index .Labels "com.x"}}|{{index .Labels "none"}}|{{index .Args 1}}', "<y>||b"),
        ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
        ("{{range .Args}}<{{.}}>{{end}}", "<a><b><c>"),
        ("{{range $i, $a := .Args}}{{$i}}{{$a}}{{end}}", "0a1b2c"),
        ("{{range $p, $c := .Ports}}{{$p}} {{end}}", "53/udp 80/tcp "),
        ("{{range .Empty}}x{{else}}none{{end}}{{range .Nothing}}x{{else}}none{{end}}", "nonenone"),
        ("{{if .Up}}up{{else}}down{{end}}{{if .Off}}up{{else}}down{{end}}", "updown"),
        ("{{if .Zero}}a{{else if .Up}}b{{else}}c{{end}}", "b"),
        ("{{with .Deep}}{{.Er.Still}}{{$.Name}}{{end}}{{with .Nothing}}x{{end}}", "here/web"),
        ('{{$x := "a"}}{{if .Up}}{{$x = "b"}}{{end}}{{$x}}', "b"),
        ("a {{- 1 -}} b", "a1b"),
        ("a{{/* nothing */}}b {{- /* more */ -}} c", "abc"),
        ("{{upper .Name}}{{lower `AB`}}{{title `ab cd`}}", "/WEBabAb Cd"),
        ('{{join .Args ", "}}|{{split "a:b" ":"}}|{{truncate .Id 4}}|{{pad "x" 1 2}}.', None),
        ('{{printf "%s-%d-%5.1f-%q-%v" .Name 3 2.5 "a\\"b" .Up}}', '/web-3-  2.5-"a\\"b"-true'),
        ('{{println .Up "x"}}{{print 1 2 "a" "b" 3}}', "true x\n1 2a b3"[:-4] + "ab3"),
        ("{{len .Args}}{{len .Name}}{{slice .Id 0 3}}{{slice .Args 1}}", "34012[b c]"),
        ("{{eq .Zero 0}}{{ne 1 2}}{{lt 1 2}}{{le 2 2}}{{gt 1 2}}{{ge 1 2}}", None),
        ("{{and .Up .Zero}} {{or .Off .Name}} {{not .Off}} {{eq 1 2 1}}", "0 /web true true"),
        ("{{.ID}}", "0123456789ab"),
        ("{{true}} {{nil | json}} {{1.5}} {{-3}} {{0x10}}", "true null 1.5 -3 16"),
        ("{{ `raw {{ text` }}", None),
    ],
)
def test_a_template_gives_what_go_gives(template, result):
    known = {
        "{{join": "a, b, c|[a b]|0123| x  .",
        "{{eq .": "truetruetruetruefalsefalse",
        "{{ `ra": "raw {{ text",
    }
    assert Template(template)(VALUE) == (known[template[:6]] if result is None else result)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Name", "template: :1: unclosed action"),
        ("a\n{{.Name", "template: :2: unclosed action"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{.Name | }}", "template: :1: missing value for command"),
        ("{{foo .Name}}", 'template: :1: function "foo" not defined'),
        ("{{range .Args}}", "template: :1: unexpected EOF"),
        ("{{if .Up}}a{{else}}b", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{(.Name}}", "template: :1: unclosed left paren"),
        ("{{.Name)}}", 'template: :1: unexpected ")" in operand'),
        ('{{"a}}', "template: :1: unterminated quoted string"),
        ("{{.Name ?}}", 'template: :1: unexpected "?" in command'),
        ("{{1x}}", 'template: :1: bad number syntax: "1x"'),
    ],
)
def test_a_template_that_cannot_be_read_is_refused_in_gos_words(template, message):
    with pytest.raises(TemplateError) as refused:
        Template(template)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("template", "where"),
    [
        ("{{.Foo}}", '1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("\n {{.Deep.Foo}}", '2:8: executing "" at <.Deep.Foo>: map has no entry for key "Foo"'),
        ("{{.Nothing.X}}", '1:10: executing "" at <.Nothing.X>: nil pointer evaluating interface '),
        ("{{.Name.X}}", '1:7: executing "" at <.Name.X>: can\'t evaluate field X in type '),
        ("{{index .Args 7}}", '1:2: executing "" at <index .Args 7>: error calling index: index o'),
        ("{{range .Name}}{{end}}", '1:8: executing "" at <.Name>: range can\'t iterate over /web'),
        ("{{$x}}", '1:2: executing "" at <$x>: undefined variable: $x'),
        ("{{lower .Up}}", '1:2: executing "" at <lower .Up>: error calling lower: '),
        ("{{join .Args}}", '1:2: executing "" at <join .Args>: error calling join: '),
    ],
)
def test_a_template_that_fails_says_where(template, where):
    with pytest.raises(TemplateError) as failed:
        Template(template)(VALUE)
    assert str(failed.value).startswith(f"template: :{where}")


def test_a_row_knows_its_fields_and_functions_and_its_type():
    class Line(Row):
        kind = "*formatter.LineContext"

    row = Line(Name="<web>", Age="1", Label=lambda name: name.upper())
    assert Template("{{.Name}} {{.Label `x`}}")(row) == "<web> X"
    assert Template("{{json .}}")(row) == '{"Age":"1","Name":"\\u003cweb\\u003e"}'
    with pytest.raises(TemplateError, match=r"field Foo in type \*formatter.LineContext"):
        Template("{{.Foo}}")(row)


@given(st.text(alphabet='{}.|"`()$ abAB1-:=,/*\n', max_size=40))
def test_whatever_is_typed_gives_text_or_one_of_natlabs_errors(text):
    with contextlib.suppress(NatlabError):
        assert isinstance(Template(text)({"A": {"B": [1]}, "a": "b"}), str)
