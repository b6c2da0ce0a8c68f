"""Write a folder of phantom pictures, labelled and with patients, to try dfukit on: it shows no patient.

python examples/phantom_folder.py FOLDER [PATIENTS]
"""

from __future__ import annotations

import sys
from pathlib import Path

from dfukit import phantom


def main(folder: str, patients: str = "40") -> None:
    phantom.write_folder(Path(folder), patients=int(patients), pictures=3, seed=0)
    print(f"pictures of {patients} made-up patients in {folder}; try: dfukit data check {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
