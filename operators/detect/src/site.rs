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
    file.stage(crate::known::DEBIAN, Some("build"));
    file.line("WORKDIR /site");
    if build.is_some() {
        let packages = work.settings.packages.clone();
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        apt(&mut file, &packages);
    }
    let site = Site {
        output: output.clone(),
        single_page: false,
        hashed: None,
    };
    configure(&mut file, &site);
    file.line("COPY . .");
    if let Some(build) = &build {
        file.run_user(build);
    }
    file.comment("Nothing that begins with a dot is for the public, but for /.well-known.");
    file.run(&format!(
        "find {output} -mindepth 1 -name '.*' ! -name .well-known -prune -exec rm -rf {{}} + && rm -f {output}/Procfile {output}/Dockerfile"
    ));
    let from = match output.as_str() {
        "." => "/site".to_owned(),
        output => format!("/site/{output}"),
    };
    serve(&mut file, &from);
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
        ignored: &[],
        dockerfile: file,
    })
}

/// Writes nginx's settings, in a stage that builds.
pub(crate) fn configure(file: &mut Dockerfile, site: &Site) {
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
    lines.push(if site.single_page {
        "  location / { try_files $uri $uri/index.html /index.html; add_header Cache-Control \"no-cache\"; }"
    } else {
        "  location / { try_files $uri $uri.html $uri/ =404; add_header Cache-Control \"no-cache\"; }"
    });
    lines.push("}");
    file.comment("nginx: its image puts the environment into this file when it starts.");
    file.write("/nginx/default.conf.template", &lines);
}

/// The stage that serves a folder of the stage `build`.
pub(crate) fn serve(file: &mut Dockerfile, folder: &str) {
    file.stage(NGINX, None);
    Work::port(file);
    file.line(&format!(
        "COPY --from=build /nginx/default.conf.template {TEMPLATE}"
    ));
    file.line(&format!("COPY --from=build {folder} {HTML}"));
    file.line("USER 101:101");
}
