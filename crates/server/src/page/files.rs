//! The files of the page, inside the binary.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::routing::get;
use sha2::{Digest, Sha256};

/// Everything comes from this server; no script or style stands in the text of the page, and nobody frames it.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
const TABLE: &str = "text/csv; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file of the page.
struct File {
    path: &'static str,
    media: &'static str,
    bytes: &'static [u8],
    /// SHA-256 of the bytes, in quotes.
    tag: OnceLock<String>,
}

/// `file!(path, media, name in page/)`.
macro_rules! file {
    ($path:literal, $media:expr, $name:literal) => {
        File {
            path: $path,
            media: $media,
            bytes: include_bytes!(concat!("../../page/", $name)),
            tag: OnceLock::new(),
        }
    };
}

/// Every file, by the path that it has.
static FILES: [File; 28] = [
    file!("/", HTML, "index.html"),
    file!("/page/app.css", STYLE, "app.css"),
    file!("/page/chart.css", STYLE, "chart.css"),
    file!("/page/icon.svg", PICTURE, "icon.svg"),
    file!("/page/js/main.js", SCRIPT, "js/main.js"),
    file!("/page/js/dom.js", SCRIPT, "js/dom.js"),
    file!("/page/js/api.js", SCRIPT, "js/api.js"),
    file!("/page/js/format.js", SCRIPT, "js/format.js"),
    file!("/page/js/state.js", SCRIPT, "js/state.js"),
    file!("/page/js/source.js", SCRIPT, "js/source.js"),
    file!("/page/js/settings.js", SCRIPT, "js/settings.js"),
    file!("/page/js/forecast_view.js", SCRIPT, "js/forecast_view.js"),
    file!("/page/js/chart.js", SCRIPT, "js/chart.js"),
    file!("/page/js/panel.js", SCRIPT, "js/panel.js"),
    file!("/page/js/scores.js", SCRIPT, "js/scores.js"),
    file!("/page/js/commands.js", SCRIPT, "js/commands.js"),
    file!("/page/js/numbers.js", SCRIPT, "js/numbers.js"),
    file!("/page/js/models_view.js", SCRIPT, "js/models_view.js"),
    file!("/page/js/metrics.js", SCRIPT, "js/metrics.js"),
    file!("/page/js/results.js", SCRIPT, "js/results.js"),
    file!("/page/js/command_tabs.js", SCRIPT, "js/command_tabs.js"),
    file!("/page/js/words.js", SCRIPT, "js/words.js"),
    file!("/page/js/theme.js", SCRIPT, "js/theme.js"),
    file!("/page/vendor/uPlot.iife.min.js", SCRIPT, "vendor/uPlot.iife.min.js"),
    file!("/page/vendor/uPlot.min.css", STYLE, "vendor/uPlot.min.css"),
    file!("/page/vendor/uPlot-LICENSE.txt", TEXT, "vendor/uPlot-LICENSE.txt"),
    file!("/page/examples/new-york-weather.csv", TABLE, "examples/new-york-weather.csv"),
    file!("/page/examples/us-flu.csv", TABLE, "examples/us-flu.csv"),
];

impl File {
    fn tag(&self) -> &str {
        self.tag.get_or_init(|| {
            let digest = Sha256::digest(self.bytes);
            let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\"{digits}\"")
        })
    }

    /// The file, or word that the browser has it.
    fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        let held = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut held = held.flat_map(|value| value.split(','));
        let is_held = held.any(|tag| tag.trim().trim_start_matches("W/") == self.tag());
        let mut response = match is_held {
            true => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            }
            false => Response::new(Body::from(self.bytes)),
        };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(self.tag()) {
            headers.insert(ETAG, tag);
        }
        for (name, value) in [
            (CONTENT_TYPE, self.media),
            // Asked for each time, so that a page and its scripts are of one version.
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A route for each file.
pub(super) fn routes() -> Router {
    FILES.iter().fold(Router::new(), |router, file| {
        router.route(file.path, get(move |asked: HeaderMap| async move { file.answer(&asked) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let file = FILES.iter().find(|file| file.path == "/page/app.css").unwrap();
        for (held, status) in [
            (file.tag().to_owned(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", W/{}", file.tag()), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let mut asked = HeaderMap::new();
            asked.insert(IF_NONE_MATCH, held.parse().unwrap());
            let answer = file.answer(&asked);
            assert_eq!(answer.status(), status, "{held}");
            assert_eq!(answer.headers()[ETAG], file.tag());
        }
        assert_eq!(file.answer(&HeaderMap::new()).status(), StatusCode::OK);
    }

    #[test]
    fn libraries_are_those_that_the_list_names() {
        let page = include_str!("../../../../docs/supply-chain.md");
        for file in FILES.iter().filter(|file| file.path.starts_with("/page/vendor/")) {
            let name = file.path.rsplit('/').next().unwrap_or_default();
            let row = format!("| `{name}` | {} |", file.tag().trim_matches('"'));
            assert!(page.contains(&row), "docs/supply-chain.md lacks the row {row}");
        }
    }

    #[test]
    fn paths_differ() {
        let paths: std::collections::BTreeSet<_> = FILES.iter().map(|file| file.path).collect();
        assert_eq!(paths.len(), FILES.len());
    }
}
