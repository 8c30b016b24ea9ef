"""Phantom films as a hospital would export them: one DICOM file a film, with the header a chest film has.

Sites differ as vendors do: bits stored, MONOCHROME1 or 2, raw or RLE, an 8- to 12-bit range inside a window.
Dates, names and ids are made up. Source: DICOM PS3.3 A.26 (Digital X-Ray Image IOD) and C.8.11.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from hilum.datasets.phantom.draws import stream
from hilum.datasets.phantom.patient import Patient, Study, View
from hilum.datasets.phantom.project import Camera
from hilum.datasets.phantom.shapes import Floats

DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"  # Digital X-Ray Image Storage - For Presentation, PS3.4 B.5
EPOCH = datetime.date(2014, 1, 6)
MARGIN = 0.06  # share of the stored range left free at either end, outside the window


def write_dicom(root: Path, patient: Patient, study: Study, view: View, number: int, film: Floats) -> Path:
    """Write one film below `root`; returns its path, `PATIENT/STUDY/IM-0001-000N.dcm`.

    Args:
        root: the archive.
        patient: of the film.
        study: of the film.
        view: of the film.
        number: of the film in its study, from 0.
        film: (H, W) in [0, 1]; reading the file back gives it to within one stored step.
    """
    accession = _accession(patient, study)
    folder = root / patient.patient_id / f"{_date(patient, study):%Y%m%d}_{accession}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"IM-0001-{number + 1:04d}.dcm"
    dataset = _header(patient, study, view, number, accession)
    _set_pixels(dataset, patient, film, Camera.of(patient, study, view, film.shape[0]).pixel_mm)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _date(patient: Patient, study: Study) -> datetime.date:
    first = int(stream("calendar", patient.seed, patient.index).integers(0, 2600))
    return EPOCH + datetime.timedelta(days=first + study.day)


def _accession(patient: Patient, study: Study) -> str:
    return f"A{int(stream('accession', patient.seed, patient.index, study.index).integers(10**8, 10**9))}"


def _header(patient: Patient, study: Study, view: View, number: int, accession: str) -> Dataset:
    site, dataset = patient.site, Dataset()
    names = [f"{patient.patient_id} {study.study_id}", view]
    date = _date(patient, study).strftime("%Y%m%d")
    clock = stream("clock", patient.seed, patient.index, study.index)
    time = f"{int(clock.integers(7, 20)):02d}{int(clock.integers(0, 60)):02d}{10 + number:02d}"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["DERIVED", "PRIMARY", ""]
    dataset.SOPClassUID = DX_FOR_PRESENTATION
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["phantom instance", *names])
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = date
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = time
    dataset.AccessionNumber = accession
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Manufacturer = site.manufacturer
    dataset.ManufacturerModelName = site.model
    dataset.InstitutionName = site.name
    dataset.StudyDescription = (
        "CHEST PORTABLE" if view == "AP" else "CHEST 2 VIEWS" if len(study.views) > 1 else "CHEST PA"
    )
    dataset.SeriesDescription = f"Chest {view}"
    dataset.PatientName = f"Phantom^{patient.index:06d}"
    dataset.PatientID = patient.patient_id
    dataset.PatientSex = patient.sex
    dataset.PatientAge = f"{int(study.age):03d}Y"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "LL" if view == "LATERAL" else view
    dataset.PatientOrientation = ["P", "F"] if view == "LATERAL" else ["L", "F"]
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["phantom study", names[0]])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["phantom series", *names])
    dataset.StudyID = str(study.index + 1)
    dataset.SeriesNumber = number + 1
    dataset.InstanceNumber = 1
    return dataset


def _set_pixels(dataset: Dataset, patient: Patient, film: Floats, pixel_mm: float) -> None:
    """Pixels, window and spacing (PS3.3 C.7.6.3, C.11.2, 10.7)."""
    site = patient.site
    top = 2**site.bits - 1
    low = round(MARGIN * top)
    span = top - 2 * low
    stored = low + np.rint(film.astype(np.float64) * span)
    if site.inverted:
        stored = top - stored
    spacing = f"{pixel_mm:.6g}"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if site.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = film.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = site.bits
    dataset.HighBit = site.bits - 1
    dataset.PixelRepresentation = 0
    dataset.ImagerPixelSpacing = [spacing, spacing]
    if site.marker:
        dataset.PixelSpacing = [spacing, spacing]
    # C.11.2.1.2: the linear window maps centre - 0.5 - (width - 1) / 2 to black and centre - 0.5 + (width - 1)
    # / 2 to white.
    dataset.WindowCenter = f"{low + span / 2 + 0.5:.1f}"
    dataset.WindowWidth = str(span + 1)
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if site.inverted else -1
    dataset.PresentationLUTShape = "INVERSE" if site.inverted else "IDENTITY"
    dataset.LossyImageCompression = "00"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    dataset.PixelData = stored.astype("<u2").tobytes()
    if site.rle:
        dataset.compress(RLELossless, generate_instance_uid=False)
