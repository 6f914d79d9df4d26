"""Pretraining texts, and the tokenizer that every text of the world survives."""

from typing import Any

from reproduce.judges.faithfulness import sentences
from reproduce.world.corpus import pretraining_texts
from reproduce.world.entailment import read_fact
from reproduce.world.people import VALUES, World


def test_biographies_state_every_fact(world: World) -> None:
    texts = pretraining_texts(world, 2000, 3)
    assert texts == pretraining_texts(world, 2000, 3) != pretraining_texts(world, 2000, 4)
    facts = [{fact for s in sentences(text) if (fact := read_fact(s))} for text in texts]
    biographies = [f for f in facts if f and all(world[n][a] == v for n, a, v in f)]
    # 30 % biographies of four facts; a retelling of two agrees by chance once in 144 times.
    assert 0.25 < len(biographies) / 2000 < 0.35
    assert set().union(*biographies) == {(n, a, v) for n in world for a, v in world[n].items()}


def test_passages_are_stated_again_in_any_order(world: World) -> None:
    """With one order the position was enough to restate, and questions went unanswered."""
    halves = [text.split("\n") for text in pretraining_texts(world, 2000, 3)]
    facts = [[[read_fact(s) for s in sentences(half)] for half in pair] for pair in halves]
    retold = [
        (pair[0], pair[1])
        for pair in facts
        if len(pair) == 2 and len(pair[0]) > 3 and all(pair[0]) and all(pair[1])
    ]
    assert len(retold) > 300
    assert all(sorted(a) == sorted(b) for a, b in retold)
    attributes = list(VALUES)
    positions = [[attributes.index(fact[1]) for fact in b] for _, b in retold]
    assert sum(a == b for a, b in retold) < len(retold) / 10
    assert sum(order == sorted(order) for order in positions) < len(retold) / 10


def test_questions_are_answered_from_their_passage(world: World) -> None:
    asked = [text.split("\n") for text in pretraining_texts(world, 1000, 3) if "?" in text]
    assert 150 < len(asked) < 250  # 20 %, sd 13
    for passage, *questions in asked:
        facts = {read_fact(sentence) for sentence in sentences(passage)}
        assert len(facts) == 4 and None not in facts
        assert len(questions) == 2 and {read_fact(question) for question in questions} < facts


def test_texts_survive_the_tokenizer(tokenizer: Any, texts: list[str]) -> None:
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids) == text


def test_a_word_is_one_token_wherever_it_stands(tokenizer: Any) -> None:
    alone = tokenizer("cat", add_special_tokens=False)["input_ids"]
    for before in ("", "She owns a ", "x\n", "- "):
        ids = tokenizer(before + "cat", add_special_tokens=False)["input_ids"]
        assert len(alone) == 1 and ids[-1:] == alone


def test_special_tokens_are_single_and_distinct(tokenizer: Any) -> None:
    names = ["<pad>", "<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"]
    assert tokenizer.convert_tokens_to_ids(names) == list(range(6))
    ids = tokenizer("<s><|user|>cat<|assistant|>", add_special_tokens=False)["input_ids"]
    assert [ids[0], ids[1], ids[-1]] == [2, 4, 5] and len(ids) == 4
