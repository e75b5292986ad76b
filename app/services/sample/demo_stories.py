"""What the demonstration tells: three clients, what they need, and how far each referral has come."""

from __future__ import annotations

from typing import NamedTuple

Code = tuple[str, str]


class Referral(NamedTuple):
    """One ServiceRequest with the Task of its recipient. `service` is a SNOMED CT code; `to` names a place."""

    key: str
    to: str
    service: Code
    status: str
    task: str
    business: str
    note: str
    reason: str | None = None


class Story(NamedTuple):
    """One client's case. `screening` is a LOINC question with its LOINC answer; `need` is the SNOMED CT condition."""

    key: str
    family: str
    given: str
    gender: str
    birth: str
    language: Code
    opened: str
    closed: str | None
    domain: Code
    screening: tuple[Code, Code]
    need: Code
    other: Code
    goal: str
    achievement: str
    message: str
    referrals: tuple[Referral, ...]


STORIES = (
    Story(
        key="rosa-delgado",
        family="Delgado",
        given="Rosa",
        gender="female",
        birth="1958-03-14",
        language=("es", "Spanish"),
        opened="2026-09-02T09:00:00-04:00",
        closed=None,
        domain=("food-insecurity", "Food Insecurity"),
        screening=(("88124-3", "Food insecurity risk [HVS]"), ("LA19952-3", "At risk")),
        need=("733423003", "Food insecurity"),
        other=("44054006", "Diabetes mellitus type 2"),
        goal="Have enough suitable food for every day of the month",
        achievement="in-progress",
        message="The food bank will bring the first box on Thursday morning.",
        referrals=(
            Referral(
                "food",
                "eastside-food-bank",
                ("467681000124101", "Referral to food pantry program"),
                "active",
                "accepted",
                "Box planned",
                "Needs food that suits diabetes. Prefers a call in Spanish.",
            ),
            Referral(
                "nutrition",
                "cedar-clinic",
                ("61310001", "Nutrition education"),
                "active",
                "requested",
                "Waiting for an answer",
                "One hour with a dietitian.",
            ),
        ),
    ),
    Story(
        key="marcus-boone",
        family="Boone",
        given="Marcus",
        gender="male",
        birth="1984-11-30",
        language=("en-US", "English (United States)"),
        opened="2026-10-12T14:30:00-04:00",
        closed=None,
        domain=("housing-instability", "Housing Instability"),
        screening=(("71802-3", "Housing status"), ("LA31994-9", "I am worried about losing my place to live")),
        need=("1156191002", "Housing instability"),
        other=("233604007", "Pneumonia"),
        goal="Sign a lease for a place that can be kept",
        achievement="no-progress",
        message="The first agency has no place free; a second request is on its way.",
        referrals=(
            Referral(
                "housing",
                "safe-door-housing",
                ("448926000", "Referral to housing service"),
                "active",
                "rejected",
                "No capacity",
                "Leaves hospital on Friday and has no place to go.",
                "No unit is free before January.",
            ),
            Referral(
                "respite",
                "bayview-hospital",
                ("58000006", "Patient discharge"),
                "active",
                "in-progress",
                "Bed kept until Monday",
                "Please keep the respite bed until a place is found.",
            ),
        ),
    ),
    Story(
        key="linh-tran",
        family="Tran",
        given="Linh",
        gender="female",
        birth="1971-07-08",
        language=("vi", "Vietnamese"),
        opened="2026-04-20T10:15:00-04:00",
        closed="2026-08-31T16:00:00-04:00",
        domain=("transportation-insecurity", "Transportation Insecurity"),
        screening=(("93030-5", "Has lack of transportation kept you from appointments"), ("LA33-6", "Yes")),
        need=("713458007", "Lack of access to transportation"),
        other=("370143000", "Major depressive disorder"),
        goal="Reach every appointment on time",
        achievement="achieved",
        message="Every visit of the last three months was kept. The case is closed.",
        referrals=(
            Referral(
                "counselling",
                "cedar-clinic",
                ("410224006", "Psychological counselling"),
                "completed",
                "completed",
                "Loop closed",
                "Weekly, with an interpreter, by telephone where that is easier.",
            ),
        ),
    ),
)
