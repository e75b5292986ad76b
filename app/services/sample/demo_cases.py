"""One client's case as resources: screening, needs, goals, plan, team, consent, referrals and what was said."""

from __future__ import annotations

from collections.abc import Iterator

from fhir.resources.R4B.address import Address
from fhir.resources.R4B.careplan import CarePlan, CarePlanActivity
from fhir.resources.R4B.careteam import CareTeam, CareTeamParticipant
from fhir.resources.R4B.coding import Coding
from fhir.resources.R4B.communication import Communication, CommunicationPayload
from fhir.resources.R4B.condition import Condition
from fhir.resources.R4B.consent import Consent, ConsentProvision
from fhir.resources.R4B.contactpoint import ContactPoint
from fhir.resources.R4B.episodeofcare import EpisodeOfCare, EpisodeOfCareDiagnosis, EpisodeOfCareStatusHistory
from fhir.resources.R4B.goal import Goal
from fhir.resources.R4B.humanname import HumanName
from fhir.resources.R4B.narrative import Narrative
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient, PatientCommunication
from fhir.resources.R4B.questionnaire import Questionnaire, QuestionnaireItem, QuestionnaireItemAnswerOption
from fhir.resources.R4B.questionnaireresponse import (
    QuestionnaireResponse,
    QuestionnaireResponseItem,
    QuestionnaireResponseItemAnswer,
)
from fhir.resources.R4B.resource import Resource

from app.services.sample.demo_places import CASE_MANAGER, ORGANIZATION, PLACES
from app.services.sample.demo_referrals import referral, request_urls
from app.services.sample.demo_stories import STORIES, Story
from app.services.sample.shapes import LOINC, SNOMED, narrative
from app.services.sample.typed import SDOH, coded, hl7, marked, ref, since

QUESTIONS = "https://careloop.example/fhir/Questionnaire/social-needs"


def questionnaire() -> Questionnaire:
    """The screening that the clients have answered: one question a social need."""
    items = [
        QuestionnaireItem(
            linkId=code,
            code=[Coding(system=LOINC, code=code)],
            text=words,
            type="choice",
            answerOption=[QuestionnaireItemAnswerOption(valueCoding=_answer(answer))],
        )
        for (code, words), answer in (story.screening for story in STORIES)
    ]
    return Questionnaire(
        id="social-needs",
        url=QUESTIONS,
        name="SocialNeeds",
        title="Social needs",
        status="active",
        subjectType=["Patient"],
        item=items,
    )


def _answer(answer: tuple[str, str]) -> Coding:
    return Coding(system=LOINC, code=answer[0], display=answer[1])


def case(story: Story) -> Iterator[Resource]:
    """Every resource of the case, those referred to first."""
    yield _patient(story)
    yield _consent(story)
    yield _response(story)
    yield _observation(story)
    yield _condition(story, "need", story.need, [hl7("condition-category", "problem-list-item"), _domain(story)])
    yield _condition(story, "other", story.other, [hl7("condition-category", "encounter-diagnosis")])
    yield _goal(story)
    yield _team(story)
    yield _episode(story)
    for item in story.referrals:
        yield from referral(story, item)
    yield _plan(story)
    yield _communication(story)


def _domain(story: Story) -> object:
    return coded(SDOH, *story.domain)


def _client(story: Story) -> dict[str, object]:
    return {"subject": ref(f"Patient/{story.key}", f"{story.given} {story.family}")}


def _patient(story: Story) -> Patient:
    text = narrative(f"<p>{story.given} {story.family}, a client of the demonstration.</p>")
    return Patient(
        id=story.key,
        text=Narrative(**text),
        identifier=marked(story.key),
        active=True,
        name=[HumanName(use="official", family=story.family, given=[story.given])],
        telecom=[ContactPoint(system="phone", value="555-014-2200", use="mobile")],
        gender=story.gender,
        birthDate=story.birth,
        address=[Address(use="home", city="Springfield", state="MA", postalCode="01105", country="US")],
        communication=[PatientCommunication(language=coded("urn:ietf:bcp:47", *story.language), preferred=True)],
        generalPractitioner=[ref("PractitionerRole/grace-okafor", "Grace Okafor")],
        managingOrganization=ref(ORGANIZATION),
    )


def _consent(story: Story) -> Consent:
    return Consent(
        id=story.key,
        status="active",
        scope=hl7("consentscope", "patient-privacy", "Privacy Consent"),
        category=[hl7("v3-ActCode", "IDSCL", "information disclosure")],
        patient=ref(f"Patient/{story.key}"),
        dateTime=story.opened,
        organization=[ref(ORGANIZATION)],
        policyRule=hl7("v3-ActCode", "OPTIN", "opt-in"),
        provision=ConsentProvision(type="permit", period=since(story.opened[:10])),
    )


def _response(story: Story) -> QuestionnaireResponse:
    (code, words), answer = story.screening
    said = QuestionnaireResponseItemAnswer(valueCoding=_answer(answer))
    return QuestionnaireResponse(
        id=f"{story.key}-screening",
        questionnaire=QUESTIONS,
        status="completed",
        authored=story.opened,
        author=ref(*CASE_MANAGER),
        source=ref(f"Patient/{story.key}"),
        item=[QuestionnaireResponseItem(linkId=code, text=words, answer=[said])],
        **_client(story),
    )


def _observation(story: Story) -> Observation:
    question, answer = story.screening
    return Observation(
        id=f"{story.key}-screening",
        status="final",
        category=[hl7("observation-category", "survey"), _domain(story)],
        code=coded(LOINC, *question),
        effectiveDateTime=story.opened,
        performer=[ref(*CASE_MANAGER)],
        valueCodeableConcept=coded(LOINC, *answer),
        derivedFrom=[ref(f"QuestionnaireResponse/{story.key}-screening")],
        **_client(story),
    )


def _condition(story: Story, key: str, code: tuple[str, str], category: list[object]) -> Condition:
    ended = {"abatementDateTime": story.closed} if story.closed else {}
    return Condition(
        id=f"{story.key}-{key}",
        clinicalStatus=hl7("condition-clinical", "resolved" if story.closed else "active"),
        verificationStatus=hl7("condition-ver-status", "confirmed"),
        category=category,
        code=coded(SNOMED, *code),
        onsetDateTime=story.opened[:10],
        recordedDate=story.opened,
        asserter=ref(*CASE_MANAGER),
        **ended,
        **_client(story),
    )


def _goal(story: Story) -> Goal:
    return Goal(
        id=story.key,
        lifecycleStatus="completed" if story.closed else "active",
        achievementStatus=hl7("goal-achievement", story.achievement),
        category=[_domain(story)],
        description={"text": story.goal},
        startDate=story.opened[:10],
        expressedBy=ref(f"Patient/{story.key}"),
        addresses=[ref(f"Condition/{story.key}-need")],
        **_client(story),
    )


def _team(story: Story) -> CareTeam:
    members = [ref(*CASE_MANAGER), ref(f"Patient/{story.key}"), ref("PractitionerRole/grace-okafor", "Grace Okafor")]
    names = {place.key: place.name for place in PLACES}
    members += [ref(f"Organization/{item.to}", names[item.to]) for item in story.referrals]
    return CareTeam(
        id=story.key,
        status="inactive" if story.closed else "active",
        name=f"Care team of {story.given} {story.family}",
        period=since(story.opened, story.closed),
        participant=[CareTeamParticipant(member=member) for member in members],
        managingOrganization=[ref(ORGANIZATION)],
        **_client(story),
    )


def _episode(story: Story) -> EpisodeOfCare:
    past = [EpisodeOfCareStatusHistory(status="active", period=since(story.opened, story.closed))]
    history = {"statusHistory": past} if story.closed else {}
    role = hl7("diagnosis-role", "CC", "Chief complaint")
    return EpisodeOfCare(
        id=story.key,
        identifier=marked(f"case-{story.key}"),
        status="finished" if story.closed else "active",
        type=[coded(SNOMED, "410401003", "Social case management")],
        diagnosis=[EpisodeOfCareDiagnosis(condition=ref(f"Condition/{story.key}-need"), role=role, rank=1)],
        patient=ref(f"Patient/{story.key}"),
        managingOrganization=ref(ORGANIZATION),
        period=since(story.opened, story.closed),
        referralRequest=[ref(url) for url in request_urls(story)],
        careManager=ref(*CASE_MANAGER),
        team=[ref(f"CareTeam/{story.key}")],
        **history,
    )


def _plan(story: Story) -> CarePlan:
    return CarePlan(
        id=story.key,
        status="completed" if story.closed else "active",
        intent="plan",
        category=[coded(SNOMED, "734163000", "Care plan"), _domain(story)],
        title=f"Plan of {story.given} {story.family}",
        period=since(story.opened, story.closed),
        created=story.opened,
        author=ref(*CASE_MANAGER),
        contributor=[ref(f"Patient/{story.key}")],
        careTeam=[ref(f"CareTeam/{story.key}")],
        addresses=[ref(f"Condition/{story.key}-need"), ref(f"Condition/{story.key}-other")],
        goal=[ref(f"Goal/{story.key}")],
        activity=[CarePlanActivity(reference=ref(url)) for url in request_urls(story)],
        **_client(story),
    )


def _communication(story: Story) -> Communication:
    return Communication(
        id=story.key,
        status="completed",
        category=[hl7("communication-category", "notification", "Notification")],
        medium=[hl7("v3-ParticipationMode", "PHONE", "telephone")],
        about=[ref(url) for url in request_urls(story)],
        sent=story.closed or "2026-11-02T11:20:00-05:00",
        recipient=[ref(f"Patient/{story.key}")],
        sender=ref(*CASE_MANAGER),
        payload=[CommunicationPayload(contentString=story.message)],
        **_client(story),
    )
