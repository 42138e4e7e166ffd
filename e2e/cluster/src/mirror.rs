//! Puts images into the registry that stands in for the public ones.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use images::oci::{Digest, Layout};

use crate::{Error, Name, Network, Result, command::CommandExt};

/// Pushes the image in `layout` to the mirror of cluster `cluster`, where Pods and builds
/// find it as `reference`, for instance `docker.io/library/postgres:17`. What is there
/// already is not sent again.
///
/// # Errors
/// When the layout is none, the reference has no tag, or the mirror refuses it.
pub fn push(cluster: Name, layout: &Path, reference: &str) -> Result<()> {
    let mirror = Network::of(cluster).mirror();
    let (repository, tag) = split(reference)?;
    let base = format!("http://{mirror}/v2/{repository}");
    let image = Layout::open(layout)?;
    let digest = image.digest().to_string();
    let manifest_url = format!("{base}/manifests/{tag}");
    if head(&manifest_url)?.is_some_and(|answer| answer.contains(&digest)) {
        return Ok(());
    }
    let manifest = image.manifest()?;
    for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
        push_blob(&base, &blob.digest, image.blob(&blob.digest)?)?;
    }
    curl()
        .args(["--request", "PUT", "--upload-file"])
        .arg(image.blob(image.digest())?)
        .args([
            "--header",
            &format!("Content-Type: {}", manifest.media_type),
        ])
        .arg(manifest_url)
        .check()?;
    Ok(())
}

fn push_blob(base: &str, digest: &Digest, file: PathBuf) -> Result<()> {
    if head(&format!("{base}/blobs/{digest}"))?.is_some() {
        return Ok(());
    }
    let answer = curl()
        .args(["--request", "POST", "--include", "--data", ""])
        .arg(format!("{base}/blobs/uploads/"))
        .check()?;
    let location = header(&answer, "location").ok_or_else(|| {
        Error::Refused(format!("{base} does not say where a blob is uploaded to"))
    })?;
    let separator = if location.contains('?') { '&' } else { '?' };
    curl()
        .args(["--request", "PUT", "--upload-file"])
        .arg(file)
        .args(["--header", "Content-Type: application/octet-stream"])
        .arg(format!("{location}{separator}digest={digest}"))
        .check()?;
    Ok(())
}

/// The headers that the registry answers with, when it has what is asked for.
fn head(url: &str) -> Result<Option<String>> {
    let answer = Command::new("curl")
        .args(["--silent", "--show-error", "--head", "--noproxy", "*"])
        .args(["--retry", "20", "--retry-connrefused", "--retry-delay", "1"])
        .args([
            "--header",
            "Accept: application/vnd.oci.image.manifest.v1+json",
        ])
        .arg(url)
        .check()?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    match status {
        "200" => Ok(Some(answer)),
        "404" => Ok(None),
        other => Err(Error::Refused(format!("{url} answers {other}"))),
    }
}

fn curl() -> Command {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--noproxy",
        "*",
    ]);
    command
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The path of an image at a registry, and its tag.
fn split(reference: &str) -> Result<(&str, &str)> {
    reference
        .split_once('/')
        .and_then(|(_registry, rest)| rest.rsplit_once(':'))
        .ok_or_else(|| Error::Refused(format!("`{reference}` is not like registry/path/name:tag")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_split_at_registry_and_tag() {
        assert_eq!(
            split("docker.io/library/postgres:17").unwrap(),
            ("library/postgres", "17")
        );
        assert_eq!(
            split("10.200.0.1:5000/system/pause:1").unwrap(),
            ("system/pause", "1")
        );
        assert!(split("postgres").is_err());
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let answer = "HTTP/1.1 202 Accepted\r\nLocation: http://x/y?z\r\n\r\n";
        assert_eq!(header(answer, "location"), Some("http://x/y?z"));
    }
}
