use airlane_model::codes;

use super::*;

fn refused(text: &str) -> String {
    let error = read(text).expect_err(text);
    assert_eq!(error.code(), codes::CONTRACT_INVALID);
    error.to_string()
}

#[test]
fn nodes_know_their_lines() {
    let root = read("a: 1\nb:\n  - x\n  - {c: 'd'}\n").unwrap();
    let list = root.get("b").unwrap().unwrap().items().unwrap();
    assert_eq!(list[0].text().unwrap(), "x");
    let inner = list[1].get("c").unwrap().unwrap();
    assert_eq!(inner.text().unwrap(), "d");
    assert_eq!(inner.wrong("x").place(), Some("line 4, column 9"));
    assert!(root.get("a").unwrap().unwrap().count().is_ok_and(|count| count == 1));
}

#[test]
fn what_is_no_yaml_is_refused_at_its_line() {
    assert!(refused("a: 1\nb: [1, 2\nc: 3\n").contains("line 3"));
    assert!(refused("a: 1\na: 2\n").contains("`a` appears twice\nat: line 2, column 1"));
    assert!(refused("").contains("empty"));
    assert!(refused("--- 1\n--- 2\n").contains("second document"));
    assert!(refused("[a]: 1\n").contains("no text"));
    assert!(refused("a: *b\n").contains("line 1"));
    assert!(refused("a: &a [*a]\n").contains("line 1"));
}

#[test]
fn an_alias_is_refused_before_it_can_multiply() {
    assert!(refused("a: &a [x]\nb: *a\n").contains("`*name`) are not taken\nat: line 2, column 4"));
    assert!(read("a: &a [x]\n").is_ok());
}

#[test]
fn depth_and_length_are_bounded() {
    let mib = 1 << 20;
    for deep in ["[".repeat(mib), "{a: ".repeat(mib / 4), "- ".repeat(mib / 2), "? ".repeat(mib / 2)] {
        assert!(!refused(&deep).is_empty());
    }
    assert!(refused(&"a".repeat(mib + 1)).contains("longer than 1 MiB"));
    assert!(read(&"a".repeat(mib)).is_ok());
}

#[test]
fn a_merge_key_is_no_silent_loss() {
    let root = read("b:\n  <<: {x: 1}\n").unwrap();
    assert!(root.get("b").unwrap().unwrap().get("x").unwrap_err().message().contains("merge keys"));
}

#[test]
fn nulls_are_plain_words() {
    let root = read("a: null\nb: 'null'\nc: ~\nd:\ne: !!str null\n").unwrap();
    for (key, is_there) in [("a", false), ("b", true), ("c", false), ("d", false), ("e", true)] {
        assert_eq!(root.get(key).unwrap().is_some(), is_there, "{key}");
    }
}
