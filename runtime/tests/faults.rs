//! docs/faults.md promises tests: they exist.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A promise whose test was renamed or removed is a promise without a test.
#[test]
fn every_test_that_the_list_of_faults_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let list = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let named: BTreeSet<&str> = list
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('_') && !name.contains(['.', '=']))
        .collect();
    assert!(named.len() > 80, "only {} tests are named", named.len());

    let tests = tests_of(root);
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(
        missing.is_empty(),
        "docs/faults.md names tests that do not exist: {missing:?}"
    );
}

/// The names of all test functions of the workspace.
fn tests_of(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> = members(root);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(test_functions(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    names
}

/// The folders of the workspace that hold source code: `target` does not.
fn members(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.join("Cargo.toml").is_file())
        .flat_map(|member| [member.join("src"), member.join("tests")])
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Functions that stand behind an attribute `…test…`, or in a `proptest!` block.
fn test_functions(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[") && line.contains("test") {
            is_test = true;
        } else if let Some(name) = function_name(line) {
            if is_test {
                names.push(name.to_owned());
            }
            is_test = false;
        }
    }
    names
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let (name, _) = line.strip_prefix("fn ")?.split_once(['(', '<'])?;
    Some(name)
}
