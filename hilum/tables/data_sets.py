"""The data sets of the tables, each as the paper cuts it; the same release may stand here several times.

File names are the owners'. Counts and defects of splits are facts about published lists (fact sheets of the five
methods, sections 8 and 9); what is not said anywhere is said to be unknown.
"""

from __future__ import annotations

from typing import Final

from hilum.tables.cxrbase_sets import CLASSIFICATION, LOCALISATION, SCREENING
from hilum.tables.data_set import DataSet, File

NIH_FINDINGS: Final = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "PleuralThickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
CHEXPERT_FIVE: Final = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion")
CXR_LT_FORTY: Final = (
    "Adenopathy", "Atelectasis", "AzygosLobe", "AorticCalcification", "Cardiomegaly", "ClavicleFracture",
    "Consolidation", "Edema", "Emphysema", "EnlargedCardiomediastinum", "Fibrosis", "Fissure", "Fracture", "Granuloma",
    "Hernia", "Hydropneumothorax", "Infarction", "Infiltration", "Kyphosis", "LobarAtelectasis", "LungLesion",
    "LungOpacity", "Mass", "Nodule", "NoFinding", "Effusion", "PleuralOther", "PleuralThickening", "Pneumomediastinum",
    "Pneumonia", "Pneumoperitoneum", "Pneumothorax", "PulmonaryEmbolism", "PulmonaryHypertension", "RibFracture",
    "RoundAtelectasis", "SubcutaneousEmphysema", "SupportDevice", "TortuousAorta", "Tuberculosis",
)  # fmt: skip

NIH_FILES: Final = (
    File("ChestX-ray14/images", "112,120 PNG of 1024 px (images_001.tar.gz to images_012.tar.gz)"),
    File("ChestX-ray14/Data_Entry_2017_v2020.csv", "labels, patients, views"),
)
CHEXPERT_FILES: Final = (
    File("CheXpert-v1.0-small/train", "JPEG of the training studies"),
    File("CheXpert-v1.0-small/train.csv", "labels of 223,414 films"),
    File("CheXpert-v1.0-small/valid", "JPEG of the 200 validation studies"),
    File("CheXpert-v1.0-small/valid.csv", "labels of 234 films, 202 of them frontal"),
)
CHEXPERT_TEST: Final = (
    File("chexlocalize/CheXpert/test", "JPEG of the 500 test studies"),
    File("chexlocalize/CheXpert/test_labels.csv", "radiologists' labels, 518 frontal films"),
)
MIMIC_FILES: Final = (
    File("mimic-cxr-jpg/2.0.0/files", "377,110 JPEG"),
    File("mimic-cxr-jpg/2.0.0/mimic-cxr-2.0.0-metadata.csv.gz", "views and studies"),
)
RSNA_FILES: Final = (
    File("rsna-pneumonia-detection-challenge/stage_2_train_images", "26,684 DICOM"),
    File("rsna-pneumonia-detection-challenge/stage_2_test_images", "3,000 DICOM"),
    File("rsna-pneumonia-detection-challenge/stage_2_train_labels.csv", "boxes and Target of the training films"),
)
SIIM_FILES: Final = (
    File("siim-acr-pneumothorax-segmentation/dicom-images-train", "12,047 DICOM"),
    File(
        "siim-acr-pneumothorax-segmentation/stage_2_train.csv",
        "12,954 run-length masks of 12,047 films; 624 films have several",
    ),
)
MRM_LISTS: Final = "lists of RL4M/MRM-pytorch"


def _lists(folder: str) -> tuple[File, ...]:
    return (File(f"MRM-pytorch/DatasetsSplits/{folder}", f"the {MRM_LISTS}: train, 1 %, 10 %, validation, test"),)


NIH: Final = DataSet(
    name="nih-chestxray14",
    title="ChestX-ray14, lists of MRM",
    release=(*NIH_FILES, *_lists("NIH_ChestX-ray")),
    split=f"{MRM_LISTS}, 70 : 10 : 20, no patient on two sides",
    findings=NIH_FINDINGS,
    counts=(78_468, 11_219, 22_433),
    defects=("the 1 % list (785 films) is not inside the 10 % list (7,847)",),
)
NIH_OWN: Final = DataSet(
    name="nih-chestxray14-cxrbase",
    title="ChestX-ray14, CXRBase's random split",
    release=NIH_FILES,
    split="7 : 1 : 2 at random by the authors, list not released; cut it by patient",
    findings=tuple(name for name in NIH_FINDINGS if name not in ("Hernia", "Infiltration", "Mass")),
    defects=("not said whether patients are kept apart", "few-shot, and the number of shots is not said"),
)
CHEXPERT: Final = DataSet(
    name="chexpert",
    title="CheXpert, lists of MRM",
    release=(*CHEXPERT_FILES, *_lists("CheXpert")),
    split=f"{MRM_LISTS}: 5,000 films of the official training set validate, the official validation set tests",
    findings=CHEXPERT_FIVE,
    counts=(218_414, 5_000, 234),
    defects=(
        "patients on two sides: 1,837 of the 4,560 validation patients are also in the 10 % training list",
        "the 1 % list (2,184 films) is not inside the 10 % list (21,841)",
        "labels are binary in the lists and the rule for uncertain ones is not said",
        "234 test films of 200 studies: a macro AUROC moves by more than the gaps between methods",
    ),
)
CHEXPERT_500: Final = DataSet(
    name="chexpert-frontal-500",
    title="CheXpert, frontal, tested on the 500 official studies",
    release=(*CHEXPERT_FILES, *CHEXPERT_TEST),
    split="official: train.csv frontal, valid.csv frontal (202), the 500-study test set frontal (518)",
    findings=CHEXPERT_FIVE,
    counts=(191_027, 202, 518),
    defects=("not the test set of MRM, MaCo, MGCA and ConVIRT (234 films): numbers do not compare",),
)
CHEXPERT_OWN: Final = DataSet(
    name="chexpert-cxrbase",
    title="CheXpert, CXRBase's 1 %",
    release=CHEXPERT_FILES,
    split="1 % (2,184 films) to train and 5,000 to test, both from the official training set; lists not released",
    findings=("Atelectasis", "Cardiomegaly", "Effusion", "Pneumonia", "Pneumothorax", "Consolidation", "Edema",
              "Fracture"),
    counts=(2_184, None, 5_000),
    defects=("the paper prints 21,84 training films", "not said whether patients are kept apart"),
)  # fmt: skip
RSNA: Final = DataSet(
    name="rsna-pneumonia",
    title="RSNA Pneumonia, lists of MRM",
    release=(*RSNA_FILES, *_lists("RSNA_Pneumonia")),
    split=f"{MRM_LISTS}; they carry the test labels, which the competition released later",
    findings=("Pneumonia",),
    counts=(25_184, 1_500, 3_000),
    defects=(
        "prevalence jumps from 23 % (train) and 15 % (validation) to 36 % (test)",
        "only 26 of the 251 films of the 1 % list are in the 10 % list",
    ),
)
COVID: Final = DataSet(
    name="covid-chestxray",
    title="COVID-19 Image Data Collection, COVID-19 against other pneumonia",
    release=(
        File("covid-chestxray-dataset/images", "films"),
        File("covid-chestxray-dataset/metadata.csv", "findings, views, patients"),
        *_lists("COVID-19_Image_Data_Collection/covid5"),
    ),
    split=f"{MRM_LISTS}, split 5 of five: the only one with the paper's counts",
    findings=("COVID19",),
    counts=(356, 54, 99),
    defects=("about 900 films at the time of the papers; the collection grew since",),
)
VIRAL: Final = DataSet(
    name="covid-viral-bacterial",
    title="COVID-19 Image Data Collection, viral against bacterial pneumonia",
    release=(*COVID.release[:2], *_lists("COVID-19_Image_Data_Collection/viral5")),
    split=COVID.split,
    findings=("ViralPneumonia",),
    counts=(297, 43, 86),
    defects=COVID.defects,
)
SIIM: Final = DataSet(
    name="siim-pneumothorax",
    title="SIIM-ACR Pneumothorax, lists of MRM",
    release=(*SIIM_FILES, *_lists("SIIM-ACR_Pneumothorax")),
    split=f"{MRM_LISTS} (MaCo's add train_1.txt of 80 films)",
    findings=("Pneumothorax",),
    holds=("labels", "masks"),
    counts=(7_969, 1_898, 1_904),
    defects=(
        "494 of the 672 test positives are training films, and only positives leak",
        "predicting nothing scores 64.7 on these test films by the papers' Dice (empty on empty counts 1)",
        "the 10 % list shares 49 positives with test, the 1 % list 4 films",
    ),
)
SIIM_ROWS: Final = DataSet(
    name="siim-pneumothorax-medim",
    title="SIIM-ACR Pneumothorax, GLoRIA's split by csv row",
    release=SIIM_FILES,
    split="70 : 15 : 15 of the csv rows, seed 0, as GLoRIA and MGCA; half of the training negatives dropped at random",
    findings=("Pneumothorax",),
    holds=("labels", "masks"),
    defects=("cut by csv row: a film with several masks can be in train and in test, each time with part of its mask",),
)
MS_CXR: Final = DataSet(
    name="ms-cxr",
    title="MS-CXR, all 1,162 phrases",
    release=(
        File("ms-cxr/0.1/MS_CXR_Local_Alignment_v1.0.0.json", "boxes and phrases, COCO"),
        *MIMIC_FILES,
    ),
    split="everything is judged",
    findings=("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "LungOpacity", "Effusion", "Pneumonia",
              "Pneumothorax"),
    holds=("phrases",),
    counts=(None, None, 881),
    defects=("these films are part of MIMIC-CXR: unseen boxes, not necessarily unseen films",),
)  # fmt: skip
COVIDX: Final = DataSet(
    name="covidx-cxr-3a",
    title="COVIDx CXR-3A, three classes",
    release=(
        File("COVIDx-CXR-3A/train", "training PNG"),
        File("COVIDx-CXR-3A/test", "test PNG"),
        File("COVIDx-CXR-3A/train_COVIDx_CXR-3A.txt", "patient, file, class, source"),
        File("COVIDx-CXR-3A/test_COVIDx_CXR-3A.txt", "the official test list"),
    ),
    split="official test list; the training list cut 80 : 20, seed 0 (the paper says 80 : 10 : 10)",
    findings=("COVID19", "Pneumonia", "NoFinding"),
    defects=("classes come from different hospitals: a classifier can learn the source",),
)
MIMIC_PAIRS: Final = DataSet(
    name="mimic-cxr-retrieval",
    title="MIMIC-CXR, the 20 % kept for retrieval",
    release=(*MIMIC_FILES, File("mimic-cxr/2.0.0/mimic-cxr-reports.zip", "reports")),
    split="80 : 20 of the frontal pairs by the authors; list and size of the gallery not said, which decide recall",
    holds=("reports",),
    defects=("without the size of the gallery no recall can be compared",),
)
CXR_LT: Final = DataSet(
    name="cxr-lt-2024",
    title="CXR-LT 2024, CheXFound's split of the training films",
    release=(
        *MIMIC_FILES,
        File("cxr-lt-iccv-workshop-cvamd/2.0.0/cxr-lt-2024/train_labeled.csv", "40 labels of 258,871 films"),
    ),
    split="train_labeled.csv cut into 207,096 and 51,775 by the authors; list not released",
    findings=CXR_LT_FORTY,
    counts=(207_096, None, 51_775),
    defects=("the released code calls the 51,775 its validation set, so heads were chosen on the test films",),
)
SHENZHEN: Final = DataSet(
    name="shenzhen-tb",
    title="Shenzhen tuberculosis",
    release=(File("ChinaSet_AllFiles/CXR_png", "662 PNG; the last digit of a name is the label"),),
    split="70 : 10 : 20 by the authors, list not released",
    findings=("Tuberculosis",),
    counts=(463, 65, 134),
)
MONTGOMERY: Final = DataSet(
    name="montgomery-tb",
    title="Montgomery tuberculosis",
    release=(File("MontgomerySet/CXR_png", "138 PNG; the last digit of a name is the label"),),
    split="70 : 10 : 20 by the authors, list not released",
    findings=("Tuberculosis",),
    counts=(96, 14, 28),
    defects=("28 test films: one film moves an AUROC by several points",),
)
JSRT: Final = DataSet(
    name="jsrt",
    title="JSRT lung nodules",
    release=(
        File("JSRT/All247images", "247 raw 2048 x 2048 films, JPCLN (nodule) and JPCNN (none)"),
        File("JSRT/Clinical_Information/CLNDAT_EN.txt", "nodules"),
    ),
    split="70 : 10 : 20 by the authors, list not released",
    findings=("Nodule",),
    counts=(171, 24, 50),
    defects=("the counts add to 245, the set has 247", "50 test films"),
)
PLCO: Final = DataSet(
    name="plco",
    title="PLCO, chest films with follow-up",
    release=(File("PLCO", "films and follow-up as the cancer data access system delivers them for a project"),),
    split="133,543 : 19,099 : 38,058 films by the authors, list not released",
    findings=("CardiovascularDeath", "Death"),
    endpoints=("Death",),
    holds=("labels", "follow-up"),
    counts=(133_543, 19_099, 38_058),
    defects=(
        "labels are flags of death without time: who left the study early counts as alive",
        "films were turned upright by a detector first, trained on 241 films",
    ),
)

DATA_SETS: Final = {
    data_set.name: data_set
    for data_set in (
        NIH, NIH_OWN, CHEXPERT, CHEXPERT_500, CHEXPERT_OWN, RSNA, COVID, VIRAL, SIIM, SIIM_ROWS, MS_CXR, COVIDX,
        MIMIC_PAIRS, CXR_LT, SHENZHEN, MONTGOMERY, JSRT, PLCO, *CLASSIFICATION, *LOCALISATION, *SCREENING,
    )
}  # fmt: skip
