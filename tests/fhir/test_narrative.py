from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.narrative import narrative, problem


def div(content: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'


RIGHT = [
    "a",
    "a &amp; &lt;b&gt; &#160;é",
    '<img src="#photo" alt="a"/>',
    '<img src="data:image/png;base64,AAAA"/>',
    '<img src="http://example.org/a.png"/>',
    '<img src="urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"/>',
    '<img src="Binary/1"/>',
    '<a href="http://example.org/?a=b&amp;c=d" name="x">a</a>',
    '<a href="#b">a</a><a href="Patient/1">b</a><a href="mailto:a@example.org">c</a>',
    '<p style="color: red; background: url(#b); background-image: url(\'a.png\')" class="x" xml:lang="en">a</p>',
    '<table border="1"><tbody><tr><td colspan="2">a</td></tr></tbody></table>',
    "<!-- a comment --><b>a</b><br/><hr/>",
    '<h:b xmlns:h="http://www.w3.org/1999/xhtml">a</h:b>',
]
FORBIDDEN = [
    "<script>a</script>",
    "<style>a</style>",
    "<form>a</form>",
    "<iframe>a</iframe>",
    "<object>a</object>",
    '<link href="a"/>',
    "<body>a</body>",
    "<video>a</video>",
    '<svg xmlns="http://www.w3.org/2000/svg">a</svg>',
    '<b xmlns="">a</b>',
    '<p onclick="a">a</p>',
    '<p ONCLICK="a">a</p>',
    '<p data-x="a">a</p>',
    '<a href="javascript:a">a</a>',
    '<a href=" java&#9;scr&#10;ipt:a">a</a>',
    '<a href="&#1;x">a</a>',
    '<a href="JAVASCRIPT&#58;a">a</a>',
    '<a href="vbscript:a">a</a>',
    '<a href="data:text/html,a">a</a>',
    '<a href="data:image/png,a">a</a>',
    '<b href="http://example.org">a</b>',
    '<p src="a.png">a</p>',
    '<q cite="javascript:a">a</q>',
    '<img src="data:text/html,a"/>',
    '<img src="javascript:a"/>',
    '<img src="file:///a"/>',
    '<p style="background: url(http://example.org/a)">a</p>',
    '<p style="background: url(//example.org/a)">a</p>',
    '<p style="background: u\\72l(a)">a</p>',
    '<p style="width: expression(a)">a</p>',
    '<p style="w/**/idth: 1">a</p>',
    '<p style="@import a">a</p>',
    '<p xlink:href="a" xmlns:xlink="http://www.w3.org/1999/xlink">a</p>',
    "<![CDATA[a]]>",
    "<![CDATA[><img src=x onerror=a>]]>",
    "<!--> <img src=x onerror=a> -->",
    "<?a b?>",
]
BROKEN = [
    "<b>a",
    "a</b>",
    "&nbsp;",
    "&a;",
    "<p class=a>a</p>",
    '<p id="a" id="b">a</p>',
    "a & b",
    "<x:b>a</x:b>",
    "<!-- -- -->",
]


@pytest.mark.parametrize("content", RIGHT)
def test_allowed(content):
    assert problem(div(content)) is None


@pytest.mark.parametrize("content", FORBIDDEN)
def test_forbidden(content):
    (finding,) = problem(div("a" + content)) or [None]
    assert finding is not None
    assert finding.at == ".div"
    assert finding.code == "invariant" or "&#1;" in content


@pytest.mark.parametrize("text", [div(content) for content in BROKEN] + ["", "a", div("a") + div("b"), div("a") + "b"])
def test_not_well_formed(text):
    (finding,) = problem(text)
    assert finding.code == "structure"
    assert "line 1" in finding.text


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE div [<!ENTITY a "b">]>' + div("&a;"),
        '<!DOCTYPE div SYSTEM "http://example.org/a">' + div("a"),
        '<?xml version="1.0"?>' + div("a"),
        "<div>a</div>",
        '<div xmlns="http://www.w3.org/2000/svg">a</div>',
        '<p xmlns="http://www.w3.org/1999/xhtml">a</p>',
    ],
)
def test_one_div_and_nothing_that_could_define_entities(text):
    (finding,) = problem(text)
    assert finding.text.startswith("txt-1: ")


@pytest.mark.parametrize("content", ["", " \n\t", "&#160;", "<b></b>", "<!-- a -->"])
def test_something_to_read_or_see(content):
    (finding,) = problem(div(content))
    assert finding.text.startswith("txt-2: ")


def test_a_bomb_of_entities_is_refused_at_once():
    lines = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 20))
    started = perf_counter()
    assert problem(f'<!DOCTYPE div [<!ENTITY a0 "a">{lines}]>' + div("&a19;"))
    assert perf_counter() - started < 0.1


@pytest.mark.parametrize(
    "content", ["<b>" * 100_000 + "a" + "</b>" * 100_000, "<b>" * 300_000, "a" * 1_000_000, "<!--" * 200_000]
)
def test_much_of_anything_takes_linear_time(content):
    started = perf_counter()
    problem(div(content))
    assert perf_counter() - started < 2


@pytest.mark.parametrize("value", [{}, {"div": 1}, {"div": None}, {"div": []}, {"div": "\ud800"}, {"div": "a\x00"}])
def test_what_is_no_string_is_not_read(value):
    assert narrative(value, None) is None


@given(
    st.text()
    | st.lists(st.sampled_from([*RIGHT, *FORBIDDEN, *BROKEN, "<", ">", "&", '"', "<div>", "<a href='"])).map("".join)
)
def test_nothing_raises_and_no_content_is_told(text):
    for outcome in (narrative({"div": text}, None), narrative({"div": div(text)}, None)):
        assert outcome is None or all(len(finding.text) < 160 for finding in outcome)
