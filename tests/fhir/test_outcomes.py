from app.errors import Invalid, Issue, NotFound
from app.fhir import outcomes
from app.fhir.validation import check


def test_every_issue_is_in_the_outcome():
    made = outcomes.outcome([Issue("required", "Missing.", "Patient.name[0]"), Issue("value", "", severity="warning")])
    check(made, "OperationOutcome")
    assert made["issue"] == [
        {"severity": "error", "code": "required", "diagnostics": "Missing.", "expression": ["Patient.name[0]"]},
        {"severity": "warning", "code": "value"},
    ]


def test_a_problem_becomes_its_issues():
    assert outcomes.of_problem(Invalid(issues=[Issue("value", "a"), Issue("value", "b")])) == outcomes.outcome(
        [Issue("value", "a"), Issue("value", "b")]
    )


def test_a_problem_without_words_says_what_it_is():
    (issue,) = outcomes.of_problem(NotFound())["issue"]
    assert (issue["code"], issue["diagnostics"]) == ("not-found", "There is no such resource.")


def test_no_issue_at_all_is_good_news():
    for made in (outcomes.outcome([]), outcomes.all_ok("Fine.")):
        check(made, "OperationOutcome")
        assert [(issue["severity"], issue["code"]) for issue in made["issue"]] == [("information", "informational")]
