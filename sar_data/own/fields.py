"""The fields of a declaration in words, by name: for the model, its schema and the options of the command line."""

from __future__ import annotations

FIELDS: dict[str, str] = {
    "name": "Name of the data set: builds lie below OUT/NAME.",
    "version": "Version of the data set.",
    "title": "Title of the data set.",
    "licence": "Licence of the data.",
    "citation": "What to cite.",
    "images": "Folder of the images, or a pattern such as chips/*.tif.",
    "bands": "Names of the bands, in the order of the file or of band_suffixes.",
    "band_suffixes": "Ends of file names, one a band, where a band is a file: _VV, _VH.",
    "frame_suffixes": "Ends of file names, one a date or frame of a place: _pre, _post.",
    "frame_folders": "Names of folders, one a date of a place, with files of the same names: before, after.",
    "polarizations": "VV, VH, HH or HV, one a band; empty for a band without one.",
    "unit": "dB, power, amplitude, DN, 8-bit or phase; one, or one a band.",
    "scale": "What the numbers in the files are multiplied by to be in the unit; one, or one a band.",
    "offset": "What is added to them after that; one, or one a band.",
    "calibration": "sigma0, gamma0, beta0, DN, stretched or unknown.",
    "terrain_corrected": "Whether the images are terrain-corrected.",
    "nodata": "Value that stands for no pixel in every band, where files do not declare it themselves.",
    "pixel_size_m": "Size of a pixel in metres.",
    "task": "classification, multilabel, segmentation, change, detection or none.",
    "labels": "Where labels of images stand: folders, lists or table.",
    "classes": "Names of the classes in canonical order.",
    "table": "CSV or Parquet table with a row an image.",
    "image_column": "Column of the images' names or paths.",
    "label_column": "Column of the labels; several are parted by ; or |, or a list in JSON.",
    "label_columns": "Columns of 0 and 1, one a class, in the order of the classes: 1 where an image has the class.",
    "split_column": "Column that says train, val or test.",
    "group_column": "Column of what must not be torn apart, such as a scene.",
    "date_column": "Column of the time of acquisition, ISO 8601.",
    "x_column": "Column of the centre's x or longitude.",
    "y_column": "Column of the centre's y or latitude.",
    "crs": "Coordinate reference system of x_column and y_column, such as EPSG:4326.",
    "group": "folder: images of one folder are not torn apart.",
    "masks": "Folder of the masks, or the name of several; masks are named as the images, and mask_suffix.",
    "mask_suffix": "End of the masks' names after the image's name: _mask.",
    "mask_values": "Value in the mask of each class; without it 0, 1, ….",
    "boxes": "Form of the boxes: coco, voc, yolo or dota; their files are found by themselves.",
    "split": "folders, lists, column, random, stratified, group or blocks, as for a build.",
}
OF_BANDS = ("bands", "band_suffixes", "polarizations", "unit", "scale", "offset")
SEVERAL = frozenset((*OF_BANDS, "frame_suffixes", "frame_folders", "classes", "mask_values", "label_columns"))
"""Fields that are lists."""
