//! Checks the HPACK codec against stories of hpack-test-case (JSON files), which
//! tests/conformance/test_hpack_stories.py fetches:
//!
//! `hpack_stories decode FOLDER...` decodes each `wire` and compares with `headers`. Prints a line
//! per mismatch, then `N stories, M cases, K mismatches`.
//!
//! `hpack_stories encode FOLDER...` encodes the `headers`. Prints a JSON object per story, with
//! its `headers` and our `wire` for each case.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::{Path, PathBuf};

use proto::Known;
use proto::h2::hpack::{DEFAULT_TABLE_SIZE, Decoder, Encoder, FieldSink, Name, Pseudo};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Fields = Vec<(String, String)>;

/// One header block of a story.
struct Case {
    /// SETTINGS_HEADER_TABLE_SIZE as acknowledged just before.
    table_size: Option<u32>,
    wire: Vec<u8>,
    headers: Fields,
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    let folders: Vec<String> = args.collect();
    if folders.is_empty() {
        return Err("usage: hpack_stories decode|encode FOLDER...".into());
    }
    let mut stories = Vec::new();
    for folder in &folders {
        stories.extend(files(Path::new(folder))?);
    }
    match mode.as_str() {
        "decode" => decode_all(&stories),
        "encode" => encode_all(&stories),
        _ => Err(format!("`{mode}` is neither decode nor encode").into()),
    }
}

/// The JSON files of a folder in order of their names.
fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn decode_all(stories: &[PathBuf]) -> Outcome<()> {
    let (mut cases, mut mismatches) = (0usize, 0usize);
    for story in stories {
        let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
        for (n, case) in read(story)?.iter().enumerate() {
            cases = cases.saturating_add(1);
            if let Some(size) = case.table_size {
                // The first one is what the connection begins with.
                match n {
                    0 => decoder = Decoder::new(size),
                    _ => decoder.set_max_table_size(size),
                }
            }
            let mut got = Collected(Vec::new());
            let outcome = decoder.decode(&case.wire, &mut got);
            if outcome.is_err() || got.0 != case.headers {
                mismatches = mismatches.saturating_add(1);
                let (path, want) = (story.display(), &case.headers);
                println!(
                    "{path}, case {n}: {outcome:?}, {:?} instead of {want:?}",
                    got.0
                );
            }
        }
    }
    println!(
        "{} stories, {cases} cases, {mismatches} mismatches",
        stories.len()
    );
    match mismatches {
        0 => Ok(()),
        _ => Err("the codec does not agree with the stories".into()),
    }
}

fn encode_all(stories: &[PathBuf]) -> Outcome<()> {
    for story in stories {
        let mut encoder = Encoder::new();
        let mut cases = Vec::new();
        for case in read(story)? {
            if let Some(size) = case.table_size {
                encoder.set_max_table_size(size);
            }
            let mut wire = Vec::new();
            encoder.begin(&mut wire);
            for (name, value) in &case.headers {
                let (name, value) = (name.as_bytes(), value.as_bytes());
                match Pseudo::of(name) {
                    Some(pseudo) => encoder.pseudo(&mut wire, pseudo, value),
                    None => encoder.field(&mut wire, Known::of(name), name, value),
                }
            }
            cases.push(json!({
                "headers": case.headers,
                "header_table_size": case.table_size,
                "wire": wire.iter().map(|b| format!("{b:02x}")).collect::<String>(),
            }));
        }
        println!("{}", json!({"story": story, "cases": cases}));
    }
    Ok(())
}

fn read(story: &Path) -> Outcome<Vec<Case>> {
    let at = |e: Box<dyn Error>| format!("{}: {e}", story.display());
    let document: Value = serde_json::from_slice(&std::fs::read(story).map_err(|e| at(e.into()))?)
        .map_err(|e| at(e.into()))?;
    let cases = document.get("cases").and_then(Value::as_array);
    let cases = cases.ok_or_else(|| at("no cases".into()))?;
    let parsed: Option<Vec<Case>> = cases.iter().map(case).collect();
    Ok(parsed.ok_or_else(|| at("not a case".into()))?)
}

fn case(value: &Value) -> Option<Case> {
    let table_size = match value.get("header_table_size") {
        None | Some(Value::Null) => None,
        Some(size) => Some(u32::try_from(size.as_u64()?).ok()?),
    };
    let mut headers = Vec::new();
    for header in value.get("headers")?.as_array()? {
        for (name, value) in header.as_object()? {
            headers.push((name.clone(), value.as_str()?.to_owned()));
        }
    }
    Some(Case {
        table_size,
        wire: bytes(value.get("wire")?.as_str()?)?,
        headers,
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    let pairs = digits.as_chunks::<2>();
    if !pairs.1.is_empty() {
        return None;
    }
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.0.iter().map(byte).collect()
}

struct Collected(Fields);

impl FieldSink for Collected {
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        let text = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
        self.0.push((text(name.as_bytes()), text(value)));
        true
    }
}
