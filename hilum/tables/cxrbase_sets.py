"""The public data sets of CXRBase and its five private ones, as its tables 1 and 2 and its screening use them.

Splits, shots and lists are not released. Where the paper says nothing the split is left to the user, by patient.
"""

from __future__ import annotations

from typing import Final

from hilum.tables.data_set import DataSet, File

OWN_SPLIT: Final = "not said; cut it by patient"
FEW_SHOT: Final = "few-shot, and the number of shots is not said"
ALL_FOURTEEN: Final = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Nodule", "Pneumonia", "Pneumothorax", "Consolidation", "Edema",
    "Emphysema", "Fibrosis", "PleuralThickening", "Fracture", "Tuberculosis", "HilarEnlargement",
)  # fmt: skip
MIMIC_RELEASE: Final = (
    File("mimic-cxr-jpg/2.0.0/files", "377,110 JPEG"),
    File("mimic-cxr-jpg/2.0.0/mimic-cxr-2.0.0-metadata.csv.gz", "views and studies"),
)
PADCHEST_RELEASE: Final = (
    File("PadChest/images", "160,840 PNG, archives 0.zip to 54.zip"),
    File("PadChest/PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", "labels"),
)
AL14_RELEASE: Final = (
    File("CXR-AL14-2022/JPEGImages", "films"),
    File("CXR-AL14-2022/Annotations", "boxes, one VOC file a film"),
)
NIH_RELEASE: Final = (
    File("ChestX-ray14/images", "112,120 PNG of 1024 px"),
    File("ChestX-ray14/Data_Entry_2017_v2020.csv", "labels, patients"),
)


def without(*absent: str) -> tuple[str, ...]:
    """The fourteen findings without some."""
    assert set(absent) <= set(ALL_FOURTEEN)
    return tuple(name for name in ALL_FOURTEEN if name not in absent)


CLASSIFICATION: Final = (
    DataSet(
        name="mimic-cxr",
        title="MIMIC-CXR, eight findings",
        release=(
            *MIMIC_RELEASE,
            File("mimic-cxr-jpg/2.0.0/mimic-cxr-2.0.0-chexpert.csv.gz", "labels read from the reports"),
            File("mimic-cxr-jpg/2.0.0/mimic-cxr-2.0.0-split.csv.gz", "the official split"),
        ),
        split=OWN_SPLIT,
        findings=without("Nodule", "Emphysema", "Fibrosis", "PleuralThickening", "Tuberculosis", "HilarEnlargement"),
        defects=(FEW_SHOT, "these films are part of the pretraining"),
    ),
    DataSet(
        name="cxr-al14",
        title="CXR-AL14, nine findings",
        release=AL14_RELEASE,
        split=OWN_SPLIT,
        findings=without("Cardiomegaly", "Pneumonia", "Edema", "Tuberculosis", "HilarEnlargement"),
        defects=(FEW_SHOT,),
    ),
    DataSet(
        name="padchest",
        title="PadChest, fourteen findings",
        release=PADCHEST_RELEASE,
        split=OWN_SPLIT,
        findings=ALL_FOURTEEN,
        defects=(FEW_SHOT, "these films are part of the pretraining"),
    ),
    *(
        DataSet(
            name=f"cxrbase-pd{number}",
            title=f"CXRBase's private set PD{number}",
            release=(),
            split="not released",
            findings=ALL_FOURTEEN,
            holds=("labels", "boxes"),
            private=True,
        )
        for number in range(1, 6)
    ),
)

LOCALISATION: Final = (
    DataSet(
        name="ms-cxr-boxes",
        title="MS-CXR, boxes of seven findings",
        release=(*MIMIC_RELEASE, File("ms-cxr/0.1/MS_CXR_Local_Alignment_v1.0.0.json", "boxes, COCO")),
        split=OWN_SPLIT,
        findings=("Atelectasis", "Cardiomegaly", "Effusion", "Pneumonia", "Pneumothorax", "Consolidation", "Edema"),
        holds=("boxes",),
    ),
    DataSet(
        name="vindr-cxr",
        title="VinDr-CXR, boxes",
        release=(
            File("vindr-cxr/1.0.0/train", "15,000 DICOM"),
            File("vindr-cxr/1.0.0/test", "3,000 DICOM"),
            File("vindr-cxr/1.0.0/annotations/annotations_train.csv", "boxes of three readers a film"),
            File("vindr-cxr/1.0.0/annotations/annotations_test.csv", "consensus boxes"),
        ),
        split=OWN_SPLIT,
        findings=("Atelectasis", "Cardiomegaly", "Effusion", "Nodule", "Pneumothorax", "Consolidation", "Fibrosis",
                  "PleuralThickening", "AorticKnob"),
        holds=("boxes",),
        defects=("the text says eight diseases, the table has nine", "how three readers' boxes are joined is not said"),
    ),
    DataSet(
        name="nih-boxes",
        title="ChestX-ray14, the 984 boxes",
        release=(*NIH_RELEASE, File("ChestX-ray14/BBox_List_2017.csv", "984 boxes of 880 films")),
        split="7 : 1 : 2 at random by the authors, list not released; cut it by patient",
        findings=("Atelectasis", "Cardiomegaly", "Effusion", "Nodule", "Pneumonia", "Pneumothorax"),
        holds=("boxes",),
        defects=("984 are boxes, not films as the text says",),
    ),
    DataSet(
        name="cxr-al14-boxes",
        title="CXR-AL14, boxes",
        release=AL14_RELEASE,
        split=OWN_SPLIT,
        findings=("Atelectasis", "Effusion", "Nodule", "Pneumothorax", "Consolidation", "Emphysema", "Fibrosis",
                  "PleuralThickening", "Fracture"),
        holds=("boxes",),
    ),
    DataSet(
        name="chestx-det",
        title="ChestX-Det, boxes",
        release=(
            File("ChestX-Det/train_data/train", "3,025 PNG"),
            File("ChestX-Det/test_data/test", "553 PNG"),
            File("ChestX-Det/ChestX_Det_train.json", "boxes and outlines"),
            File("ChestX-Det/ChestX_Det_test.json", "boxes and outlines"),
        ),
        split="official",
        findings=("Atelectasis", "Cardiomegaly", "Effusion", "Nodule", "Pneumothorax", "Consolidation", "Emphysema",
                  "Fibrosis", "PleuralThickening", "Fracture"),
        holds=("boxes",),
        defects=("its films are ChestX-ray14's, which the pretraining saw", "the text says seven diseases, not ten"),
    ),
)  # fmt: skip


def _covid(name: str, title: str, *files: File, defects: tuple[str, ...] = ()) -> DataSet:
    return DataSet(
        name=f"covid-{name}",
        title=title,
        release=files,
        split=OWN_SPLIT,
        findings=("COVID19",),
        defects=defects,
    )


_ONE_CLASS: Final = "every case is COVID-19; where the negatives come from is not said, and they decide the AUROC"
SCREENING: Final = (
    _covid("bimcv", "BIMCV-COVID19+", File("BIMCV-COVID19", "PNG and JSON of the subjects"), defects=(_ONE_CLASS,)),
    _covid(
        "cohen",
        "COVID-19 Image Data Collection",
        File("covid-chestxray-dataset/images", "films"),
        File("covid-chestxray-dataset/metadata.csv", "findings, patients"),
    ),
    _covid(
        "sirm",
        "COVID-19 Radiography Database",
        File("COVID-19_Radiography_Dataset/COVID/images", "PNG"),
        File("COVID-19_Radiography_Dataset/Normal/images", "PNG"),
        File("COVID-19_Radiography_Dataset/COVID.metadata.xlsx", "sources"),
        defects=("re-packages other collections, Cohen's among them",),
    ),
    _covid("stonybrook", "COVID-19-NY-SBU", File("COVID-19-NY-SBU", "DICOM of 1,384 patients"), defects=(_ONE_CLASS,)),
    _covid("ricord", "MIDRC-RICORD-1c", File("MIDRC-RICORD-1C", "DICOM and annotations"), defects=(_ONE_CLASS,)),
)
