//! A manifest read from a file.

use std::path::{Path, PathBuf};

use api::{ManifestError, Pipeline, Problems, StreamPipeline, parse, validate};

/// Why a file gives no pipeline.
#[derive(Debug, thiserror::Error)]
pub enum ManifestFileError {
    /// The file cannot be read.
    #[error("cannot read the manifest {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The text is no manifest.
    #[error("{}: {error}", .path.display())]
    Text { path: PathBuf, error: ManifestError },
    /// The manifest contradicts itself. One line a problem.
    #[error("{}", lines(path, problems))]
    Invalid {
        path: PathBuf,
        /// Each with its path in the manifest.
        problems: Problems,
    },
}

/// Reads and checks the manifest at `path`: what was typed, and what it means.
pub fn load(path: &Path) -> Result<(StreamPipeline, Pipeline), ManifestFileError> {
    let resource = read(path)?;
    let pipeline = check(path, &resource)?;
    Ok((resource, pipeline))
}

/// Reads the manifest at `path`, so that it can be changed before it is checked. Paths in a manifest are relative to
/// its directory; here they are made absolute.
pub fn read(path: &Path) -> Result<StreamPipeline, ManifestFileError> {
    let failed = |source| ManifestFileError::Read {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let mut resource = parse(&text).map_err(|error| ManifestFileError::Text {
        path: path.to_owned(),
        error,
    })?;
    let path = std::path::absolute(path).map_err(failed)?;
    anchor(&mut resource, path.parent().unwrap_or(Path::new("/")));
    Ok(resource)
}

/// Checks what [`read`] gave.
pub fn check(path: &Path, resource: &StreamPipeline) -> Result<Pipeline, ManifestFileError> {
    validate(resource).map_err(|problems| ManifestFileError::Invalid {
        path: path.to_owned(),
        problems,
    })
}

fn anchor(resource: &mut StreamPipeline, directory: &Path) {
    // An empty path stays one: that is an error of its own.
    for path in resource.spec.paths_mut().filter(|path| !path.is_empty()) {
        *path = directory.join(&*path).to_string_lossy().into_owned();
    }
}

fn lines(path: &Path, problems: &Problems) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {problem}", path.display()))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {name: music}
spec:
  kafka: {bootstrapServers: 'kafka:9092'}
  topics:
    - {name: plays, partitions: 4, fields: {user_id: int}}
  tables:
    - {name: plays_stored, sql: SELECT user_id FROM plays}
  sink: {sqlite: {path: music.db}}
";

    fn load_text(text: &str) -> Result<(StreamPipeline, Pipeline), String> {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        std::fs::write(file.path(), text).unwrap();
        let name = file.path().display().to_string();
        load(file.path()).map_err(|error| error.to_string().replace(&name, "music.yaml"))
    }

    #[test]
    fn a_file_becomes_a_pipeline() {
        let (resource, pipeline) = load_text(MANIFEST).unwrap();
        assert_eq!(resource.metadata.name.as_deref(), Some("music"));
        assert_eq!(pipeline.topic("plays").unwrap().partitions, 4);
    }

    /// Whatever program reads it, and from wherever it is started.
    #[test]
    fn paths_are_relative_to_the_manifest() {
        let text = MANIFEST.replace(
            "  tables:",
            "  references:
    - {name: states, from: {csv: {path: data/states.csv, fields: {code: string}}}}
    - {name: cities, from: {csv: {path: /data/cities.csv, fields: {code: string}}}}
  tables:",
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("music.yaml");
        std::fs::write(&file, text).unwrap();
        let (_, pipeline) = load(&file).unwrap();
        let paths: Vec<&Path> = pipeline
            .references
            .iter()
            .filter_map(|reference| match &reference.source {
                api::ReferenceSource::Csv(csv) => Some(csv.path.as_path()),
                api::ReferenceSource::Generated(_) => None,
            })
            .collect();
        assert_eq!(
            paths,
            [
                folder.path().join("data/states.csv").as_path(),
                Path::new("/data/cities.csv")
            ]
        );
        assert_eq!(
            pipeline.sink.file(),
            Some(folder.path().join("music.db").as_path())
        );
    }

    #[test]
    fn a_wrong_text_is_placed_by_line_and_column() {
        let error = load_text(&MANIFEST.replace("partitions: 4", "partitions: many")).unwrap_err();
        assert!(error.starts_with("music.yaml: line 8, column "), "{error}");
    }

    #[test]
    fn every_contradiction_is_a_line_with_the_file_and_its_path() {
        let text = MANIFEST
            .replace("name: plays_stored", "name: Plays")
            .replace("name: music}", "name: Music}");
        let error = load_text(&text).unwrap_err();
        let paths: Vec<&str> = error.lines().filter_map(|line| line.split(": ").nth(1)).collect();
        assert!(
            error.lines().all(|line| line.starts_with("music.yaml: ")),
            "{error}"
        );
        assert!(
            paths.contains(&"metadata.name") && paths.contains(&"spec.tables[0].name"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("nowhere/music.yaml")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the manifest nowhere/music.yaml");
    }
}
