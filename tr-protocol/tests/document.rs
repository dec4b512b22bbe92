//! `docs/protocol.md` says what the code does: its tables come from the messages, its codes and limits are all there.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use core::fmt::Write as _;
use core::ops::RangeInclusive;
use std::path::PathBuf;

use tr_protocol::frame::{Kind, MAX_FIELDS, MAX_FRAME, MAX_INNER, MAX_NAME, MAX_SIGNATURES};
use tr_protocol::message::{ErrorCode, FieldSpec, Inner, Link, Outer};
use tr_protocol::value::MAX_TEXT;

const BEGIN: &str = "<!-- tables: written by `BLESS=1 cargo test -p tr-protocol --test document` -->\n";
const END: &str = "<!-- end of tables -->\n";

type Messages = [(Kind, &'static str, RangeInclusive<usize>, &'static [FieldSpec])];

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md")
}

fn tables() -> String {
    let mut text = String::new();
    let layers: [(&str, &Messages); 3] = [
        ("Outer", Outer::MESSAGES),
        ("Link", Link::MESSAGES),
        ("Inner", Inner::MESSAGES),
    ];
    for (layer, messages) in layers {
        writeln!(text, "\n### {layer}").unwrap();
        for (kind, verb, signatures, fields) in messages {
            if layer == "Inner" && *verb == "error" {
                continue; // the same as the outer one
            }
            writeln!(text, "\n#### {kind} {verb}\n").unwrap();
            match (signatures.start(), signatures.end()) {
                (0, 0) => writeln!(text, "Not signed.\n").unwrap(),
                (1, 1) if *kind == Kind::Command => writeln!(text, "`~1` by the terminal.\n").unwrap(),
                (1, 1) => writeln!(text, "`~1` by the backend.\n").unwrap(),
                _ => writeln!(text, "In clear not signed; under seal `~1` by the backend.\n").unwrap(),
            }
            writeln!(text, "| key | | type | meaning |\n|---|---|---|---|").unwrap();
            for FieldSpec {
                key,
                required,
                value,
                words,
                meaning,
            } in *fields
            {
                let presence = if *required { "required" } else { "optional" };
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                let value = if words.is_empty() {
                    (*value).to_string()
                } else {
                    words.join(" ")
                };
                writeln!(text, "| `{key}` | {presence} | {value} | {meaning} |").unwrap();
            }
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_tables_are_those_of_the_messages() {
    let document = std::fs::read_to_string(path()).unwrap();
    let begin = document.find(BEGIN).unwrap() + BEGIN.len();
    let end = document.find(END).unwrap();
    if document[begin..end] == tables() {
        return;
    }
    assert!(
        std::env::var_os("BLESS").is_some(),
        "the tables are not up to date: run with BLESS=1 to write them"
    );
    let blessed = [&document[..begin], &tables(), &document[end..]].concat();
    std::fs::write(path(), blessed).unwrap();
}

#[test]
fn codes_and_limits_are_all_there() {
    let document = std::fs::read_to_string(path()).unwrap();
    for code in ErrorCode::LIST {
        assert!(document.contains(&format!("| `{code}` |")), "{code}");
    }
    let limits = [MAX_FRAME, MAX_INNER, MAX_NAME, MAX_FIELDS, MAX_SIGNATURES, MAX_TEXT];
    for limit in limits {
        assert!(document.contains(&format!("| {limit} |")), "{limit}");
    }
}
