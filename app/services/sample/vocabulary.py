"""What happens in the generated clinic, in SNOMED CT, RxNorm and CVX. One line of a table is one code."""

from __future__ import annotations

from app.services.sample.shapes import Code, codes

VISITS = codes("""
162673000|General examination of patient (procedure)
410620009|Well child visit (procedure)
185345009|Encounter for symptom (procedure)
185349003|Encounter for check up (procedure)
390906007|Follow-up encounter (procedure)
308335008|Patient encounter procedure (procedure)
371883000|Outpatient procedure (procedure)
698314001|Consultation for treatment (procedure)
702927004|Urgent care clinic (environment)
185347001|Encounter for problem (procedure)
424619006|Prenatal visit (regime/therapy)
439740005|Postoperative follow-up visit (procedure)
394701000|Asthma follow-up (regime/therapy)
185389009|Follow-up visit (procedure)
""")
EMERGENCIES = codes("""
50849002|Emergency room admission (procedure)
183478001|Emergency hospital admission for asthma (procedure)
183452005|Emergency hospital admission (procedure)
""")
ADMISSIONS = codes("""
32485007|Hospital admission (procedure)
183495009|Non-urgent orthopedic admission (procedure)
305351004|Admission to intensive care unit (procedure)
1505002|Hospital admission for isolation (procedure)
""")

CONDITIONS = codes("""
444814009|Viral sinusitis (disorder)
195662009|Acute viral pharyngitis (disorder)
10509002|Acute bronchitis (disorder)
386661006|Fever (finding)
49727002|Cough (finding)
84229001|Fatigue (finding)
65363002|Otitis media (disorder)
43878008|Streptococcal sore throat (disorder)
840539006|Disease caused by severe acute respiratory syndrome coronavirus 2 (disorder)
25064002|Headache (finding)
267036007|Dyspnea (finding)
422587007|Nausea (finding)
44465007|Sprain of ankle (disorder)
39848009|Whiplash injury to neck (disorder)
283371005|Laceration of forearm (disorder)
62106007|Concussion with no loss of consciousness (disorder)
70704007|Sprain of wrist (disorder)
33737001|Fracture of rib (disorder)
16114001|Fracture of ankle (disorder)
233604007|Pneumonia (disorder)
307426000|Acute infective cystitis (disorder)
72892002|Normal pregnancy (finding)
73595000|Stress (finding)
160903007|Full-time employment (finding)
160904001|Part-time employment (finding)
741062008|Not in labor force (finding)
423315002|Limited social contact (finding)
706893006|Victim of intimate partner abuse (finding)
32911000|Homeless (finding)
733423003|Food insecurity (finding)
713458007|Lack of access to transportation (finding)
1156191002|Housing instability (finding)
""")
CHRONIC = codes("""
59621000|Essential hypertension (disorder)
44054006|Diabetes mellitus type 2 (disorder)
15777000|Prediabetes (finding)
55822004|Hyperlipidemia (disorder)
162864005|Body mass index 30+ - obesity (finding)
40055000|Chronic sinusitis (disorder)
271737000|Anemia (disorder)
1121000119107|Chronic neck pain (finding)
278860009|Chronic low back pain (finding)
195967001|Asthma (disorder)
13645005|Chronic obstructive lung disease (disorder)
49436004|Atrial fibrillation (disorder)
53741008|Coronary arteriosclerosis (disorder)
88805009|Chronic congestive heart failure (disorder)
431855005|Chronic kidney disease stage 1 (disorder)
433144002|Chronic kidney disease stage 3 (disorder)
64859006|Osteoporosis (disorder)
239873007|Osteoarthritis of knee (disorder)
370143000|Major depressive disorder (disorder)
197480006|Anxiety disorder (disorder)
7200002|Alcoholism (disorder)
5602001|Opioid abuse (disorder)
128613002|Seizure disorder (disorder)
26929004|Alzheimer's disease (disorder)
24079001|Atopic dermatitis (disorder)
367498001|Seasonal allergic rhinitis (disorder)
""")

MEDICATIONS = codes("""
314076|lisinopril 10 MG Oral Tablet
310798|Hydrochlorothiazide 25 MG Oral Tablet
308136|amlodipine 2.5 MG Oral Tablet
860975|24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet
106892|insulin isophane, human 70 UNT/ML / insulin, regular, human 30 UNT/ML Injectable Suspension [Humulin]
314231|simvastatin 10 MG Oral Tablet
617314|atorvastatin 10 MG Oral Tablet [Lipitor]
259255|atorvastatin 80 MG Oral Tablet
866924|metoprolol tartrate 25 MG Oral Tablet
313988|furosemide 40 MG Oral Tablet
855332|warfarin sodium 5 MG Oral Tablet
309362|clopidogrel 75 MG Oral Tablet
243670|aspirin 81 MG Oral Tablet
197604|digoxin 0.125 MG Oral Tablet
896209|60 ACTUAT fluticasone propionate 0.25 MG/ACTUAT / salmeterol 0.05 MG/ACTUAT Dry Powder Inhaler
895994|120 ACTUAT fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler
2123111|200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler
313782|acetaminophen 325 MG Oral Tablet
198405|ibuprofen 100 MG Oral Tablet
310965|ibuprofen 200 MG Oral Tablet
849574|naproxen sodium 220 MG Oral Tablet
856987|acetaminophen 300 MG / hydrocodone bitartrate 5 MG Oral Tablet
835603|tramadol hydrochloride 50 MG Oral Tablet
308182|amoxicillin 250 MG Oral Capsule
562251|amoxicillin 250 MG / clavulanate 125 MG Oral Tablet
834061|penicillin V potassium 250 MG Oral Tablet
309097|cefuroxime 250 MG Oral Tablet
665078|loratadine 5 MG Chewable Tablet
1870230|0.3 ML epinephrine 1 MG/ML Auto-Injector
310325|ferrous sulfate 325 MG Oral Tablet
312617|prednisone 5 MG Oral Tablet
997223|donepezil hydrochloride 10 MG Oral Tablet
904419|alendronic acid 10 MG Oral Tablet
312940|sertraline 25 MG Oral Tablet
310385|fluoxetine 20 MG Oral Capsule
351264|buprenorphine 2 MG / naloxone 0.5 MG Sublingual Tablet
1000126|1 ML medroxyprogesterone acetate 150 MG/ML Injection
751905|Trinessa 28 Day Pack
""")

PROCEDURES = codes("""
430193006|Medication reconciliation (procedure)
710824005|Assessment of health and social care needs (procedure)
710841007|Assessment of anxiety (procedure)
171207006|Depression screening (procedure)
866148006|Screening for domestic abuse (procedure)
428211000124100|Assessment of substance use (procedure)
763302001|Assessment using Alcohol Use Disorders Identification Test - Consumption (procedure)
229064008|Movement therapy (regime/therapy)
180256009|Subcutaneous immunotherapy (procedure)
371908008|Oxygen administration by mask (procedure)
127783003|Spirometry (procedure)
15081005|Pulmonary rehabilitation (regime/therapy)
73761001|Colonoscopy (procedure)
76601001|Intramuscular injection (procedure)
274804006|Evaluation of uterine fundal height (procedure)
117015009|Throat culture (procedure)
23426006|Measurement of respiratory function (procedure)
180325003|Electrical cardioversion (procedure)
71651007|Mammography (procedure)
399208008|Plain chest X-ray (procedure)
288086009|Suture open wound (procedure)
274474001|Bone immobilization (procedure)
312681000|Bone density scan (procedure)
265764009|Renal dialysis (procedure)
415300000|Review of systems (procedure)
162676008|Brief general examination (procedure)
395142003|Allergy screening test (procedure)
269911007|Sputum examination (procedure)
""")

VACCINES = codes("""
140|Influenza, seasonal, injectable, preservative free
113|Td (adult) preservative free
133|Pneumococcal conjugate PCV 13
20|DTaP
10|IPV
62|HPV, quadrivalent
114|meningococcal MCV4P
49|Hib (PRP-OMP)
83|Hep A, ped/adol, 2 dose
21|varicella
03|MMR
08|Hep B, adolescent or pediatric
121|zoster
52|Hep A, adult
119|rotavirus, monovalent
43|Hep B, adult
115|Tdap
33|pneumococcal polysaccharide vaccine, 23 valent
208|COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose
212|COVID-19 vaccine, vector-nr, rS-Ad26, PF, 0.5 mL
""")

ALLERGIES = codes("""
419474003|Allergy to mould
232350006|House dust mite allergy
232347008|Dander (animal) allergy
418689008|Allergy to grass pollen
419263009|Allergy to tree pollen
417532002|Allergy to fish
91934008|Allergy to nut
91930004|Allergy to eggs
300916003|Latex allergy
424213003|Allergy to bee venom
420174000|Allergy to wheat
91936005|Allergy to penicillin
""")

SUPPLIES = codes("""
469673003|Disposable air-purifying respirator (physical object)
713779008|Nitrile examination gloves (physical object)
409534002|Disposable glove (physical object)
706724001|Isolation gown, single-use (physical object)
337388004|Blood glucose testing strips (physical object)
408919008|Hypodermic needle (physical object)
""")

PLANS = {
    Code("736376001", "Infectious disease care plan (record artifact)"): codes("""
226934003|Food hygiene education (procedure)
409524006|Infection prevention education (procedure)
"""),
    Code("698360004", "Diabetes self management plan (record artifact)"): codes("""
160670007|Diabetic diet (finding)
229065009|Exercise therapy (regime/therapy)
385804009|Diabetic care (regime/therapy)
"""),
    Code("736285004", "Hyperlipidemia clinical management plan (record artifact)"): codes("""
183301007|Physical exercises (regime/therapy)
226234005|Healthy diet (finding)
"""),
    Code("443402002", "Lifestyle education regarding hypertension (procedure)"): codes("""
386463000|Prescribed activity/exercise education (procedure)
413473000|Counseling about alcohol consumption (procedure)
1151000175103|Dietary approaches to stop hypertension diet (finding)
225323000|Smoking cessation education (procedure)
"""),
    Code("869761000000107", "Urinary tract infection care plan (record artifact)"): codes("""
223472008|Discussion about signs and symptoms (procedure)
281036007|Follow-up consultation (procedure)
"""),
    Code("737434004", "Major depressive disorder clinical management plan (record artifact)"): codes("""
385721005|Depression management (procedure)
410224006|Psychological counselling (procedure)
410293007|Stress management education (procedure)
"""),
    Code("384758001", "Self-care interventions (procedure)"): codes("""
58332002|Allergy education (procedure)
409002|Food allergy diet (finding)
371605008|Deep breathing and coughing exercises (regime/therapy)
"""),
    Code("734163000", "Care plan (record artifact)"): codes("""
410401003|Social case management (procedure)
467681000124101|Referral to food pantry program (procedure)
710925007|Provision of food (procedure)
448926000|Referral to housing service (procedure)
308440001|Referral to social worker (procedure)
"""),
}
