"""Keep a classifier in memory, and answer a line of JSON for each path that comes in on standard input.

ls photographs/*.jpg | python examples/predict_as_a_service.py RUN
"""

from __future__ import annotations

import json
import sys

import dfukit


def main(run: str) -> None:
    classifier = dfukit.load_classifier(run)
    for line in sys.stdin:
        if not (path := line.rstrip("\r\n")):
            continue
        try:
            answers = [found.as_table() for found in classifier.predict([path])]
        except dfukit.DfukitError as error:  # one unusable picture does not end the service
            answers = [{"path": path, "error": str(error)}]
        for answer in answers:  # several where it is a folder
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
