"""Equal questions once; the split; the files."""

from unlearnkit.build.dataset import Row, files, unique, validation_rows


def rows(name, count, scope="unlearn"):
    return [Row(name, f"{scope} {n} of {name}?", f"a{n}", "email", scope) for n in range(count)]


def test_equal_questions_count_once_whatever_the_case_and_spacing():
    first, other = Row("a", "Who is A?", "1", "name", "retention"), Row("a", "Who is B?", "2", "name", "retention")
    again = Row("a", " who  is a? ", "3", "email", "unlearn")
    assert unique([first, again, other]) == ([first, other], [again])


def test_a_fifth_of_every_name_is_held_out():
    made = rows("a", 10) + rows("b", 5) + rows("c", 10)
    held = validation_rows(made, 0.2, 0)
    assert [sum(row.name == name for row in held) for name in "abc"] == [2, 1, 2]


def test_names_of_one_row_still_give_their_share():
    assert len(validation_rows([row for n in range(10) for row in rows(str(n), 1)], 0.2, 0)) == 2


def test_the_ends_of_the_split():
    assert validation_rows([], 0.2, 0) == set()
    assert validation_rows(rows("a", 1), 0.5, 0) == set()
    assert len(validation_rows(rows("a", 2), 0.2, 0)) == 1


def test_the_split_hangs_on_seed_and_question_alone():
    made = rows("a", 10)
    assert validation_rows(made, 0.2, 0) == validation_rows(made[::-1], 0.2, 0)
    assert len({frozenset(row.question for row in validation_rows(made, 0.2, seed)) for seed in range(8)}) > 1


def test_files():
    made = rows("a", 4) + rows("a", 5, "retention")
    parts = files(made, 0.25, 0)
    assert {name: len(part) for name, part in parts.items()} == {
        "unlearn_train.json": 3,
        "unlearn_val.json": 1,
        "retention_train.json": 4,
        "retention_val.json": 1,
        "full.json": 9,
    }
    assert parts["full.json"][4] == {"text": "retention 0 of a?", "labels": "a0"}
    split = [row for name, part in parts.items() if name != "full.json" for row in part]
    assert sorted(row["text"] for row in split) == sorted(row["text"] for row in parts["full.json"])
