//! Static files, and the server for them.

use crate::{
    Context, Error, Subject,
    dockerfile::Dockerfile,
    known::NGINX,
    work::{Made, Work, apt},
};

/// Where nginx looks for its files.
const HTML: &str = "/usr/share/nginx/html";
/// Filled in by the image's entry point, with the environment.
const TEMPLATE: &str = "/etc/nginx/templates/default.conf.template";

/// What is not for the public: what begins with a dot, but for /.well-known, and what is for us.
const NOT_SERVED: &[&str] = &[
    "**/.*",
    "!**/.well-known",
    "!**/.well-known/**",
    "Procfile",
    "Dockerfile",
];

/// How files are served.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Folder of the files, relative to the application's.
    pub(crate) output: String,
    /// Whether paths that are no file get index.html.
    pub(crate) single_page: bool,
    /// Expression for the paths of files whose names change with their content.
    pub(crate) hashed: Option<&'static str>,
}

/// Files that are served as they are.
pub(crate) fn plan(work: &mut Work<'_>) -> Result<Made, Error> {
    let (output, from) = match &work.settings.output {
        Some(output) => (output.trim_end_matches('/').to_owned(), "build.output"),
        None if work.tree.has("index.html") => (".".to_owned(), "index.html"),
        None => ("public".to_owned(), "public/index.html"),
    };
    if output != "." && !work.tree.has_folder(&output) && work.settings.build_command.is_none() {
        return Err(Error::Unusable(format!(
            "build.output: there is no folder {output}"
        )));
    }
    work.say(Subject::Output, &output, Some(from));
    let build = work.build(None);
    let mut file = Dockerfile::default();
    let site = Site {
        output,
        single_page: false,
        hashed: None,
    };
    let output = site.output.as_str();
    // What may not be served does not even get to the build, unless the repository says itself what
    // does. A command may need any file.
    let (files, ignored) = if build.is_none() && !work.tree.has(".dockerignore") {
        (output.to_owned(), NOT_SERVED)
    } else {
        let left = stage(work, build.as_ref(), output, &mut file);
        (format!("--from=build {left}"), &[][..])
    };
    serve(&mut file, &site, &files);
    work.say(Subject::Start, "nginx", Some("static files"));
    Ok(Made {
        version: None,
        framework: None,
        from: vec![if output == "." {
            "index.html".to_owned()
        } else {
            format!("{output}/")
        }],
        context: Context::Folder,
        ignored,
        dockerfile: file,
    })
}

/// A stage that builds, and takes away what may not be served. The folder of what is left.
fn stage(work: &Work<'_>, build: Option<&String>, output: &str, file: &mut Dockerfile) -> String {
    file.stage(crate::known::DEBIAN, Some("build"));
    file.line("WORKDIR /site");
    if build.is_some() {
        let packages: Vec<&str> = work.settings.packages.iter().map(String::as_str).collect();
        apt(file, &packages);
    }
    file.line("COPY . .");
    if let Some(build) = build {
        file.run_user(build);
    }
    file.comment("Nothing that begins with a dot is for the public, but for /.well-known.");
    file.run(&format!(
        "find {output} -mindepth 1 -name '.*' ! -name .well-known -prune -exec rm -rf {{}} + && rm -f {output}/Procfile {output}/Dockerfile"
    ));
    match output {
        "." => "/site".to_owned(),
        output => format!("/site/{output}"),
    }
}

/// Writes nginx's settings.
fn configure(file: &mut Dockerfile, site: &Site) {
    let mut lines = vec![
        "server {",
        "  listen ${PORT};",
        "  root /usr/share/nginx/html;",
        "  absolute_redirect off;",
        "  server_tokens off;",
        "  gzip on;",
        "  gzip_types text/css text/plain application/javascript application/json image/svg+xml;",
        "  error_page 403 404 =404 /404.html;",
        "  location ~ /\\.(?!well-known/) { return 404; }",
    ];
    let hashed = site.hashed.map(|paths| {
        format!("  location ~ \"{paths}\" {{ try_files $uri =404; add_header Cache-Control \"public, max-age=31536000, immutable\"; }}")
    });
    lines.extend(hashed.as_deref());
    if !site.single_page {
        // They are there if somebody makes this Dockerfile the repository's own.
        lines.push("  location ~ ^/(Dockerfile|Procfile)$ { return 404; }");
    }
    lines.push(if site.single_page {
        "  location / { try_files $uri $uri/index.html /index.html; add_header Cache-Control \"no-cache\"; }"
    } else {
        "  location / { try_files $uri $uri.html $uri/ =404; add_header Cache-Control \"no-cache\"; }"
    });
    lines.push("}");
    file.comment("nginx: its image puts the environment into this file when it starts.");
    file.write(TEMPLATE, &lines);
}

/// The stage that serves what `COPY` finds under `files`. The settings come first: they stay in the
/// cache while the files change.
pub(crate) fn serve(file: &mut Dockerfile, site: &Site, files: &str) {
    file.stage(NGINX, None);
    file.line("USER 0:0");
    configure(file, site);
    Work::port(file);
    file.line(&format!("COPY {files} {HTML}"));
    file.line("USER 101:101");
}
