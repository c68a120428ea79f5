"""Files of many formats, written from an array and where it lies (RAS mm), and trees named as known datasets."""

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
PAR_HEAD = """# === DATA DESCRIPTION FILE ======================================================
# CLINICAL TRYOUT             Research image export tool     V4.2
# === GENERAL INFORMATION ========================================================
.    Patient name                       :   Jane Planted
.    Examination name                   :   planted
.    Protocol name                      :   planted
.    Examination date/time              :   2001.02.03 / 04:05:06
.    Series Type                        :   Image   MRSERIES
.    Acquisition nr                     :   2
.    Reconstruction nr                  :   1
.    Scan Duration [sec]                :   14
.    Max. number of cardiac phases      :   1
.    Max. number of echoes              :   1
.    Max. number of slices/locations    :   {slices}
.    Max. number of dynamics            :   1
.    Max. number of mixes               :   1
.    Patient position                   :   Head First Supine
.    Preparation direction              :   Anterior-Posterior
.    Technique                          :   T1TFE
.    Scan resolution  (x, y)            :   {x}  {y}
.    Scan mode                          :   3D
.    Repetition time [ms]               :   8.000
.    FOV (ap,fh,rl) [mm]                :   {ap:.3f}  {fh:.3f}  {rl:.3f}
.    Water Fat shift [pixels]           :   1.000
.    Angulation midslice(ap,fh,rl)[degr]:   0.000  0.000  0.000
.    Off Centre midslice(ap,fh,rl) [mm] :   {off[0]:.3f}  {off[1]:.3f}  {off[2]:.3f}
.    Flow compensation <0=no 1=yes> ?   :   0
.    Presaturation     <0=no 1=yes> ?   :   0
.    Phase encoding velocity [cm/sec]   :   0.000000  0.000000  0.000000
.    MTC               <0=no 1=yes> ?   :   0
.    SPIR              <0=no 1=yes> ?   :   0
.    EPI factor        <0,1=no EPI>     :   1
.    Dynamic scan      <0=no 1=yes> ?   :   0
.    Diffusion         <0=no 1=yes> ?   :   0
.    Diffusion echo time [ms]           :   0.0000
.    Max. number of diffusion values    :   1
.    Max. number of gradient orients    :   1
.    Number of label types   <0=no ASL> :   0
# === IMAGE INFORMATION ==========================================================
"""
PAR_LINE = (
    "{n} 1 1 1 0 2 {index} 16 100 {x} {y} {intercept:.5f} {slope:.5f} 1.0 500 1000 0.00 0.00 0.00 "
    "{ap:.3f} {fh:.3f} {rl:.3f} {thick:.3f} 0.000 0 1 0 2 {dx:.3f} {dy:.3f} 3.70 0.00 0.00 0.00 1 8.00 0 0 0 1 "
    "900.0 1 1 8 0 0.0 0.0 0.0 1\n"
)


def image(shape=(12, 14, 10), spacing=(2.0, 1.5, 3.0), origin=(-11.0, -7.0, -5.0), seed=0):
    """Return random int16 voxels and an upright affine."""
    data = np.random.default_rng(seed).integers(0, 1000, shape).astype(np.int16)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return data, affine


def oblique(affine, degrees=20.0):
    """Turn an affine about an axis that is none of the grid's."""
    from scipy.spatial.transform import Rotation

    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.array([0.6, 0.0, 0.8])).as_matrix()
    return turn @ affine


def write_nifti(path, data, affine):
    """Write NIfTI with codes of 1, and words in its header that are nobody's business."""
    made = nib.Nifti1Image(data, affine)
    made.set_qform(affine, 1)
    made.set_sform(affine, 1)
    made.header["descrip"] = b"Jane Planted 2001"
    made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Planted"))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(made, path)
    return path


def write_metaimage(path, data, affine, *, packed=True, big=False):
    """Write ``.mha``, or ``.mhd`` with its voxels beside it."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    directions = lps[:3, :3] / spacing
    raw = data.astype((">" if big else "<") + "i2").tobytes("F")
    stored = zlib.compress(raw) if packed else raw
    local = path.suffix == ".mha"
    words = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": big,
        "CompressedData": packed,
        **({"CompressedDataSize": len(stored)} if packed else {}),
        "TransformMatrix": " ".join(repr(float(x)) for x in directions.T.ravel()),
        "Offset": " ".join(repr(float(x)) for x in lps[:3, 3]),
        "ElementSpacing": " ".join(repr(float(x)) for x in spacing),
        "DimSize": " ".join(str(n) for n in data.shape),
        "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL" if local else path.with_suffix(".raw").name,
    }
    head = "".join(f"{name} = {value}\n" for name, value in words.items()).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + (stored if local else b""))
    if not local:
        path.with_suffix(".raw").write_bytes(stored)
    return path


def write_nrrd(path, data, affine, *, packed=True, space="left-posterior-superior"):
    """Write ``.nrrd``."""
    signs = np.diag([-1.0, -1, 1, 1]) if space.startswith("left-posterior") else np.eye(4)
    stored = signs @ affine
    vectors = " ".join("(" + ",".join(repr(float(x)) for x in stored[:3, k]) + ")" for k in range(3))
    lines = [
        "NRRD0004",
        "# a comment",
        "type: short",
        "dimension: 3",
        *([f"space: {space}", f"space directions: {vectors}"] if space else ["spacings: 1 1 1"]),
        "sizes: " + " ".join(str(n) for n in data.shape),
        "endian: little",
        f"encoding: {'gzip' if packed else 'raw'}",
        *(["space origin: (" + ",".join(repr(float(x)) for x in stored[:3, 3]) + ")"] if space else []),
    ]
    raw = data.astype("<i2").tobytes("F")
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + (gzip.compress(raw) if packed else raw))
    return path


def write_minc2(path, data, affine):
    """Write MINC 2 of an upright image, axes from above to below in the file as usual: z, y, x."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for axis, name in enumerate(("xspace", "yspace", "zspace")):
            dimension = file.create_dataset(f"minc-2.0/dimensions/{name}", data=0)
            dimension.attrs["start"] = float(affine[axis, 3])
            dimension.attrs["step"] = float(affine[axis, axis])
            dimension.attrs["length"] = data.shape[axis]
            dimension.attrs["direction_cosines"] = np.eye(3)[axis]
            dimension.attrs["spacing"] = np.bytes_(b"regular__")
        voxels = file.create_dataset("minc-2.0/image/0/image", data=data.transpose(2, 1, 0).astype(np.uint16))
        voxels.attrs["dimorder"] = np.bytes_(b"zspace,yspace,xspace")
        voxels.attrs["valid_range"] = np.array([0.0, 65535.0])
        for name, value in (("image-min", 0.0), ("image-max", 65535.0)):
            file.create_dataset(f"minc-2.0/image/0/{name}", data=value)
    return path


def write_parrec(path, data, affine, *, slope=1.0, intercept=0.0):
    """Write transverse PAR/REC of an upright image; its axes lead left, back and up."""
    turned = data[::-1, ::-1]
    spacing = np.diag(affine)[:3]
    centre = affine[:3, 3] + spacing * (np.array(data.shape) - 1) / 2
    size = spacing * data.shape
    # Philips counts towards front-back, foot-head and right-left, as left, posterior and superior are positive.
    off = (-centre[1], centre[2], -centre[0])
    head = PAR_HEAD.format(
        slices=data.shape[2], x=data.shape[0], y=data.shape[1], ap=size[1], fh=size[2], rl=size[0], off=off
    )
    lines = [
        PAR_LINE.format(
            n=k + 1, index=k, x=data.shape[0], y=data.shape[1], slope=slope, intercept=intercept, thick=spacing[2],
            ap=off[0], fh=affine[2, 3] + k * spacing[2], rl=off[2], dx=spacing[0], dy=spacing[1],
        )
        for k in range(data.shape[2])
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "".join(lines))
    path.with_suffix(".REC").write_bytes(turned.astype("<u2").tobytes("F"))
    return path


def write_dual_echo(path, first, second, affine, *, times=("15.00", "90.00")):
    """Write PAR/REC of two echoes, slice by slice; the second echo's flip angles differ."""
    lines = write_parrec(path, first, affine).read_text().splitlines(keepends=True)
    count = first.shape[2]
    head, rows = lines[:-count], [line.split() for line in lines[-count:]]
    made = []
    for k, row in enumerate(rows):
        for echo, time in enumerate(times):
            row[1], row[6], row[30], row[35] = str(echo + 1), str(2 * k + echo), time, str(90 + echo * k)
            made.append(" ".join(row) + "\n")
    text = "".join(head).replace("echoes              :   1", "echoes              :   2") + "".join(made)
    path.write_text(text)
    both = np.stack([first, second], axis=-1)[::-1, ::-1].transpose(0, 1, 3, 2)
    path.with_suffix(".REC").write_bytes(both.astype("<u2").tobytes("F"))
    return path


def write_analyze(path, data, spacing=(2.0, 1.5, 3.0), orient=0):
    """Write an Analyze pair; `data` is in the order of the file."""
    header = nib.AnalyzeHeader()
    header.set_data_dtype(np.int16)
    header.set_data_shape(data.shape)
    header.set_zooms(spacing)
    block = bytearray(header.binaryblock)
    block[252] = orient
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(block))
    path.with_suffix(".img").write_bytes(data.astype(header.endianness + "i2").tobytes("F"))
    return path


def write_dicom(
    folder, data, affine, *, number=3, modality="MR", description="planted", step=None, places=None, **tags
):
    """Write a series of one file for each slice along the third axis.

    `step` replaces the way from slice to slice (RAS mm), as a tilted gantry does; `places` are slices to write.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    row, column = lps[:3, 0] / spacing[0], lps[:3, 1] / spacing[1]
    onward = lps[:3, 2] if step is None else LPS[:3, :3] @ step
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(data.shape[2]) if places is None else places:
        meta = FileMetaDataset()
        kind = "1.2.840.10008.5.1.4.1.1." + ("2" if modality == "CT" else "4")
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made = Dataset()
        made.file_meta = meta
        made.SOPClassUID, made.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
        made.SeriesInstanceUID, made.StudyInstanceUID, made.FrameOfReferenceUID = series, study, frame
        made.Modality, made.SeriesNumber, made.InstanceNumber = modality, number, k + 1
        made.SeriesDescription, made.ProtocolName = description, description
        made.Manufacturer, made.PatientName, made.PatientID = "SIEMENS", "Planted^Jane", "ID4711"
        made.PatientBirthDate, made.AccessionNumber, made.StudyDate = "19700101", "ACC0815", "20010203"
        made.StudyTime, made.AcquisitionTime = "040506", "040507"
        made.InstitutionName, made.ReferringPhysicianName = "Planted Hospital", "Planted^Doctor"
        made.StationName, made.DeviceSerialNumber = "STATION9", "SN12345"
        made.PatientComments, made.ImageComments = "planted comment", "planted comment"
        made.PatientPosition, made.SliceThickness = "HFS", float(spacing[2])
        made.PixelSpacing = [float(spacing[1]), float(spacing[0])]
        made.ImageOrientationPatient = [round(float(x), 8) for x in (*row, *column)]
        made.ImagePositionPatient = [round(float(x), 5) for x in lps[:3, 3] + k * onward]
        made.Rows, made.Columns = data.shape[1], data.shape[0]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.RescaleSlope, made.RescaleIntercept = 1, 0
        if modality == "MR":
            made.MagneticFieldStrength, made.EchoTime, made.RepetitionTime = 3, 3.5, 2000
        for name, value in tags.items():
            setattr(made, name, value)
        made.PixelData = np.ascontiguousarray(data[:, :, k].T.astype("<i2")).tobytes()
        made.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)
    return folder


def ct_head(shape=(48, 56, 40), spacing=4.0):
    """Return a head of shells in HU, int16: air, skin, bone, brain and a table behind it; and its affine."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    x, y, z = np.indices(shape).astype(float)
    radius = np.sqrt(
        ((x - shape[0] / 2) / 19) ** 2 + ((y - shape[1] / 2) / 22) ** 2 + ((z - shape[2] / 2) / 17) ** 2
    )
    data = np.full(shape, -1000.0)
    for limit, value in ((1.0, 20), (0.93, 900), (0.85, 35)):
        data[radius < limit] = value
    data[8:40, 1:3, :] = 150
    noise = np.random.default_rng(0).normal(0, 5, shape)
    return np.clip(np.rint(data + noise), -1024, 3071).astype(np.int16), affine


def tree(root, kind, images):
    """Write a folder named as a known dataset.

    Parameters
    ----------
    root : Path
        Where to.
    kind : str
        Name of its recipe; ``Kirby21-PAR`` and ``BraTS-MHA`` are those in other formats.
    images : list of dict
        For each participant contrast → (data, affine).
    """
    for n, of in enumerate(images, start=1):
        for contrast, (data, affine) in of.items():
            path = Path(root) / _name(kind, n, contrast)
            writers = {".mha": write_metaimage, ".mnc": write_minc2, ".PAR": write_parrec}
            (write_dicom if kind in {"CQ500", "ADNI"} else writers.get(path.suffix, write_nifti))(
                path, data, affine
            )
    return Path(root)


def _name(kind, n, contrast):
    short = {"T1w": "t1", "T2w": "t2", "PDw": "pd", "FLAIR": "flair", "ct": "CT"}[contrast]
    site = ("Guys", "HH", "IOP")[n % 3]
    brats = {"T1w": "MR_T1", "T2w": "MR_T2", "FLAIR": "MR_Flair"}.get(contrast, "")
    kirby = {"T1w": "MPRAGE", "T2w": "T2w"}.get(contrast, contrast)
    isbi = {"T1w": "mprage"}.get(contrast, short)
    return {
        "IXI": f"IXI-{short.upper()}/IXI{n:03d}-{site}-0{n:03d}-{short.upper()}.nii.gz",
        "Kirby21": f"KKI2009-{n:02d}-{kirby}.nii.gz",
        "Kirby21-PAR": f"KKI2009-{n:02d}-{kirby}.PAR",
        "BrainWeb": f"{short}_{('icbm_normal', 'ai_msles2')[(n - 1) % 2]}_1mm_pn3_rf20.mnc",
        "BraTS": f"HGG/Brats18_2013_{n}_1/Brats18_2013_{n}_1_{short}.nii.gz",
        "BraTS-MHA": f"LGG/brats_2013_pat{n:04d}_1/VSD.Brain.XX.O.{brats}.{n}/VSD.Brain.XX.O.{brats}.{n}.mha",
        "ISBI2015": f"training/training{n:02d}/orig/training{n:02d}_01_{isbi}.nii.gz",
        "CQ500": f"CQ500CT{n} CQ500CT{n}/Unknown Study/CT PLAIN THIN",
        "OASIS": f"OAS3000{n}_MR_d0129/anat2/NIFTI/sub-OAS3000{n}_ses-d0129_run-01_{contrast}.nii.gz",
        "ADNI": f"ADNI/002_S_{n:04d}/{'MP-RAGE' if short == 't1' else 'Axial_FLAIR'}/200{n}-04-18_08_20_30.0/I{n}",
    }[kind]
