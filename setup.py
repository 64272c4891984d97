"""Both Python packages of errseg as one ament_python package."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "errseg_ros"
ROOT = Path(__file__).resolve().parent
SHARE = Path("share") / PACKAGE


def shared_files(folder: str, *patterns: str) -> list[tuple[str, list[str]]]:
    """List a folder's files, with those of folders below it, for the same places in share/errseg_ros."""
    found: dict[str, list[str]] = {}
    for pattern in patterns:
        for path in sorted((ROOT / folder).rglob(pattern)):
            relative = path.relative_to(ROOT)
            found.setdefault(str(SHARE / relative.parent), []).append(str(relative))
    return sorted(found.items())


def requirements(name: str) -> list[str]:
    """The packages of a file in requirements/."""
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return [line.partition("#")[0].strip() for line in lines if not line.startswith("#")]


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Open-vocabulary semantic segmentation of camera images with ERR-Seg, for ROS 2",
    author="errseg authors",
    maintainer="errseg maintainers",
    maintainer_email="maintainers@errseg.dev",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"fleet": requirements("fleet.txt"), "backends": requirements("backends.txt")},
    packages=find_packages(include=["errseg_model", "errseg_model.*", "errseg_ros", "errseg_ros.*"]),
    package_data={
        "": ["py.typed", "*.json", "*.yaml", "*.md", "*.j2", "*.css"],
        "errseg_model": ["configs/*.json", "weights/*"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (str(SHARE), ["package.xml"]),
        *shared_files("launch", "*.launch.py"),
        *shared_files("config", "*.yaml", "*.json", "*.xml"),
    ],
    entry_points={
        "console_scripts": [
            "errseg = errseg_model.__main__:main",
            "errseg_node = errseg_ros.node:main",
            "sample_bag = errseg_ros.sample_bag:main",
            "errseg_demo = errseg_ros.demo.main:main",
            "evaluate_bag = errseg_ros.evaluate_bag.main:main",
            "replay_bag = errseg_ros.replay_bag.main:main",
        ],
    },
    zip_safe=False,
)
