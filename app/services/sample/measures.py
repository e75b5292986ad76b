"""What the generated clinic measures and asks, in LOINC and UCUM. One line of a table is one code."""

from __future__ import annotations

from typing import NamedTuple

from app.services.sample.shapes import Code, codes


class Measure(NamedTuple):
    """Something measured: a LOINC code, its UCUM unit and the usual range with its fraction digits."""

    code: str
    display: str
    unit: str
    low: float
    high: float
    digits: int


def _measures(text: str) -> tuple[Measure, ...]:
    rows = (line.split("|") for line in text.strip().splitlines())
    return tuple(Measure(c, d, unit, float(low), float(high), int(digits)) for c, d, unit, low, high, digits in rows)


VITALS = _measures("""
8302-2|Body Height|cm|150|196|1
29463-7|Body Weight|kg|48|118|1
39156-5|Body Mass Index|kg/m2|18|36|2
8867-4|Heart rate|/min|56|104|0
9279-1|Respiratory rate|/min|12|20|0
72514-3|Pain severity - 0-10 verbal numeric rating [Score] - Reported|{score}|0|8|0
8310-5|Body temperature|Cel|36.1|39.4|3
2708-6|Oxygen saturation in Arterial blood|%|88|100|1
59408-5|Oxygen saturation in Arterial blood by Pulse oximetry|%|90|100|0
""")

PANELS = {
    Code("51990-0", "Basic Metabolic Panel"): _measures("""
2339-0|Glucose|mg/dL|65|142|2
6299-2|Urea Nitrogen|mg/dL|7|21|2
38483-4|Creatinine|mg/dL|0.5|2.1|2
49765-1|Calcium|mg/dL|8.5|10.3|2
2947-0|Sodium|mmol/L|135|146|2
6298-4|Potassium|mmol/L|3.5|5.3|2
2069-3|Chloride|mmol/L|98|111|2
20565-8|Carbon Dioxide|mmol/L|20|30|2
"""),
    Code("57698-3", "Lipid Panel"): _measures("""
2093-3|Total Cholesterol|mg/dL|140|262|2
2571-8|Triglycerides|mg/dL|80|240|2
18262-6|Low Density Lipoprotein Cholesterol|mg/dL|55|178|2
2085-9|High Density Lipoprotein Cholesterol|mg/dL|34|82|2
"""),
    Code("58410-2", "Complete blood count (hemogram) panel - Blood by Automated count"): _measures("""
6690-2|Leukocytes [#/volume] in Blood by Automated count|10*3/uL|3.4|11.2|4
789-8|Erythrocytes [#/volume] in Blood by Automated count|10*6/uL|3.8|5.6|4
718-7|Hemoglobin [Mass/volume] in Blood|g/dL|11.2|17.4|3
4544-3|Hematocrit [Volume Fraction] of Blood by Automated count|%|34|50|3
787-2|MCV [Entitic volume] by Automated count|fL|79|96|3
785-6|MCH [Entitic mass] by Automated count|pg|26|34|3
786-4|MCHC [Mass/volume] by Automated count|g/dL|32|37|3
777-3|Platelets [#/volume] in Blood by Automated count|10*3/uL|140|420|2
21000-5|Erythrocyte distribution width [Entitic volume] by Automated count|fL|38|47|3
32623-1|Platelet mean volume [Entitic volume] in Blood by Automated count|fL|9|12.4|3
"""),
    Code("24323-8", "Comprehensive metabolic 2000 panel - Serum or Plasma"): _measures("""
2345-7|Glucose [Mass/volume] in Serum or Plasma|mg/dL|64|150|3
3094-0|Urea nitrogen [Mass/volume] in Serum or Plasma|mg/dL|7|22|3
2160-0|Creatinine [Mass/volume] in Serum or Plasma|mg/dL|0.5|2.9|4
17861-6|Calcium [Mass/volume] in Serum or Plasma|mg/dL|8.4|10.4|4
2951-2|Sodium [Moles/volume] in Serum or Plasma|mmol/L|135|146|2
2823-3|Potassium [Moles/volume] in Serum or Plasma|mmol/L|3.4|5.3|4
2075-0|Chloride [Moles/volume] in Serum or Plasma|mmol/L|98|110|2
2028-9|Carbon dioxide, total [Moles/volume] in Serum or Plasma|mmol/L|20|30|3
33914-3|Glomerular filtration rate/1.73 sq M.predicted|mL/min|48|118|3
2885-2|Protein [Mass/volume] in Serum or Plasma|g/dL|5.9|8.3|4
1751-7|Albumin [Mass/volume] in Serum or Plasma|g/dL|3.4|5.4|4
1975-2|Bilirubin.total [Mass/volume] in Serum or Plasma|mg/dL|0.2|1.6|4
6768-6|Alkaline phosphatase [Enzymatic activity/volume] in Serum or Plasma|U/L|38|128|2
1742-6|Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma|U/L|8|58|3
1920-8|Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma|U/L|8|52|3
"""),
    Code("57023-4", "Auto Differential panel - Blood"): _measures("""
770-8|Neutrophils/100 leukocytes in Blood by Automated count|%|38|76|3
736-9|Lymphocytes/100 leukocytes in Blood by Automated count|%|14|46|3
5905-5|Monocytes/100 leukocytes in Blood by Automated count|%|3|12|3
713-8|Eosinophils/100 leukocytes in Blood by Automated count|%|0.4|6|3
706-2|Basophils/100 leukocytes in Blood by Automated count|%|0.1|1.4|3
751-8|Neutrophils [#/volume] in Blood by Automated count|10*3/uL|1.6|7.4|3
731-0|Lymphocytes [#/volume] in Blood by Automated count|10*3/uL|0.8|4.2|3
742-7|Monocytes [#/volume] in Blood by Automated count|10*3/uL|0.1|1.1|3
"""),
    Code("24336-0", "Gas panel - Arterial blood"): _measures("""
2744-1|pH of Arterial blood|[pH]|7.28|7.48|2
2019-8|Carbon dioxide [Partial pressure] in Arterial blood|mm[Hg]|33|48|2
2703-7|Oxygen [Partial pressure] in Arterial blood|mm[Hg]|58|102|2
1960-4|Bicarbonate [Moles/volume] in Arterial blood|mmol/L|20|28|2
"""),
    Code("34528-0", "PT panel - Platelet poor plasma by Coagulation assay"): _measures("""
5902-2|Prothrombin time (PT)|s|10.4|14.2|3
6301-6|INR in Platelet poor plasma by Coagulation assay|{INR}|0.9|3.6|3
"""),
    Code("75689-0", "Iron panel - Serum or Plasma"): _measures("""
2276-4|Ferritin [Mass/volume] in Serum or Plasma|ug/L|14|410|1
2498-4|Iron [Mass/volume] in Serum or Plasma|ug/dL|40|180|1
2500-7|Iron binding capacity [Mass/volume] in Serum or Plasma|ug/dL|230|440|1
"""),
}
PANEL_WEIGHTS = (15, 16, 14, 11, 7, 3, 3, 3)

SINGLE_LABS = _measures("""
4548-4|Hemoglobin A1c/Hemoglobin.total in Blood|%|4.6|9.4|2
14959-1|Microalbumin Creatinine Ratio|mg/g|4|180|3
3016-3|Thyrotropin [Units/volume] in Serum or Plasma|m[IU]/L|0.4|5.2|2
2857-1|Prostate specific Ag [Mass/volume] in Serum or Plasma|ng/mL|0.2|6.4|3
1988-5|C reactive protein [Mass/volume] in Serum or Plasma|mg/L|0.4|18|2
48065-7|Fibrin D-dimer FEU [Mass/volume] in Platelet poor plasma|ug/mL|0.1|3.2|3
89579-7|Troponin I.cardiac [Mass/volume] in Serum or Plasma by High sensitivity method|pg/mL|1.2|38|3
1989-3|25-hydroxyvitamin D3 [Mass/volume] in Serum or Plasma|ng/mL|12|58|1
2132-9|Cobalamin (Vitamin B12) [Mass/volume] in Serum or Plasma|pg/mL|180|920|0
38265-5|DXA [T-score] Bone density|{T-score}|-3.2|1.4|2
""")

SCORES = _measures("""
55758-7|Patient Health Questionnaire 2 item (PHQ-2) total score [Reported]|{score}|0|6|0
44261-6|Patient Health Questionnaire 9 item (PHQ-9) total score [Reported]|{score}|0|24|0
70274-6|Generalized anxiety disorder 7 item (GAD-7) total score [Reported.PHQ]|{score}|0|21|0
75626-2|Total score [AUDIT-C]|{score}|0|9|0
82667-7|Total score [DAST-10]|{score}|0|5|0
38208-5|Pain severity - Reported|{score}|0|9|0
""")

ANSWERS = {
    Code("72166-2", "Tobacco smoking status"): codes("""
266919005|Never smoked tobacco
8517006|Ex-smoker
449868002|Smokes tobacco daily
428041000124106|Occasional tobacco smoker
"""),
    Code("11367-0", "History of Tobacco use"): codes("""
8517006|Ex-smoker
266919005|Never smoked tobacco
"""),
}

# The answers to the social questions are LOINC answer codes.
SOCIAL = {
    Code("71802-3", "Housing status"): codes("""
LA31993-1|I have a steady place to live
LA31994-9|I have a place to live today, but I am worried about losing it in the future
LA31995-6|I do not have a steady place to live
"""),
    Code("88124-3", "Food insecurity risk [HVS]"): codes("""
LA19952-3|At risk
LA19983-8|No risk
"""),
    Code("67875-5", "Employment status - current"): codes("""
LA17956-6|Unemployed
LA17957-4|Part-time or temporary work
LA17958-2|Full-time work
"""),
    Code("93030-5", "Has lack of transportation kept you from getting where you need to go"): codes("""
LA30133-5|Yes, it has kept me from medical appointments
LA32-8|No
"""),
}
SOCIAL_PANEL = Code(
    "93025-5", "Protocol for Responding to and Assessing Patients' Assets, Risks, and Experiences [PRAPARE]"
)
