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
        try:
            answer = classifier.predict([line.strip()])[0].as_table()
        except dfukit.DfukitError as error:  # one unusable picture does not end the service
            answer = {"path": line.strip(), "error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
