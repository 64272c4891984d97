"""Labelled data sets, in their published folder layouts or in folders of your own."""

from errseg_model.datasets.factory import create_dataset, list_datasets
from errseg_model.datasets.folders import open_folders
from errseg_model.datasets.reader import Dataset, LabelledImage
from errseg_model.datasets.specification import DatasetError

__all__ = ["Dataset", "DatasetError", "LabelledImage", "create_dataset", "list_datasets", "open_folders"]
