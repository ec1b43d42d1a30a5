"""Local files of the general tasks, in the shapes of the originals, with rows of our own."""

import csv
import json

import pytest

MMLU = ("question", "choice0", "choice1", "choice2", "choice3", "answer")


def write_csv(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8-sig" if "Truthful" in path.name else "utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Two MMLU subjects of 5 and 3 questions, 4 of ARC, 3 of SocialIQA, 11 articles, 3 of TruthfulQA."""
    folder = tmp_path_factory.mktemp("files") / "general"
    for subject, size in (("marketing", 5), ("philosophy", 3)):
        rows = [[f"What, in\n{subject}, is {n}?", "one", "two, or more", "three", "four", n % 4] for n in range(size)]
        write_csv(folder / "mmlu" / "test" / f"{subject}_test.csv", MMLU, rows)
        write_csv(folder / "mmlu" / "dev" / f"{subject}_dev.csv", MMLU, [[f"Dev {n}?", *"abcd", 1] for n in range(2)])
    arc = [
        {
            "id": f"a{n}",
            "question": {
                "stem": f"Which is {n}?",
                "choices": [{"text": f"thing {k}", "label": label} for k, label in enumerate("ABCD")],
            },
            "answerKey": "ABCD"[n],
        }
        for n in range(4)
    ]
    arc[3]["question"]["choices"] = [{"text": f"part {k}", "label": str(k)} for k in range(1, 4)]
    arc[3]["answerKey"] = "3"
    write_jsonl(folder / "arc_challenge_test.jsonl", arc)
    social = [
        {"context": f"Ann met {n}.", "question": "Why?", "options": ["to eat", "to go", "to see"]} for n in range(3)
    ]
    write_jsonl(folder / "social_iqa" / "dev.jsonl", social)
    (folder / "social_iqa" / "dev-labels.lst").write_text("3\n1\n2\n")
    for subject in ("bio", "chem", "cyber"):
        questions = [{"question": f"What {subject} {n}?", "choices": list("wxyz"), "answer": n} for n in range(3)]
        write_jsonl(folder / "wmdp" / f"{subject}.jsonl", questions)
    for number in range(1, 12):
        article = {
            "article": f"Article {number}.",
            "questions": ["The sky is  _  .", f"It's {number}, 'or' not?"],
            "options": [["blue", "red", "low", "high"], ["yes", "no", "both", "none"]],
            "answers": ["A", "BCD"[number % 3]],
            "id": f"high{number}.txt",
        }
        write_jsonl(folder / "race" / "high" / f"{number}.txt", [article])
    columns = ("Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers", "Source")
    truthful = [
        ["A", "C", f"Is {n} so?", "It is not", "It is not; No, never; ", "It is; It is always; It is", "x"]
        for n in range(3)
    ]
    write_csv(folder / "truthfulqa" / "TruthfulQA.csv", columns, truthful)
    return folder
