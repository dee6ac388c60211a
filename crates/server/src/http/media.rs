//! Media types of requests and answers.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};

use crate::failure::{Answered, Code, Failure};
use crate::forecast::Media;

/// Further names of the forms.
const OTHERS: [(&str, Media); 4] = [
    ("application/csv", Media::Csv),
    ("application/vnd.apache.arrow.file", Media::Arrow),
    ("application/x-parquet", Media::Parquet),
    ("application/parquet", Media::Parquet),
];

fn named(name: &str) -> Option<Media> {
    let name = name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let own = Media::ALL.into_iter().find(|media| media.name() == name);
    own.or_else(|| OTHERS.iter().find(|(other, _)| *other == name).map(|(_, media)| *media))
}

fn names() -> String {
    Media::ALL.map(Media::name).join(", ")
}

/// The form of a request's body; JSON where it is not said.
pub(crate) fn of_request(headers: &HeaderMap) -> Answered<Media> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        let text = "bodies are not unpacked here (send it without Content-Encoding)";
        return Err(Failure::new(Code::MediaType, text));
    }
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Media::Json) };
    let found = value.to_str().ok().and_then(named);
    found.ok_or_else(|| {
        let text = format!("Content-Type: wanted one of {}", names());
        Failure::new(Code::MediaType, text)
    })
}

/// The form of the answer: what the client likes best, that of its request where it does not care.
pub(crate) fn of_answer(headers: &HeaderMap, request: Media) -> Answered<Media> {
    let mut best: Option<(f32, Media)> = None;
    let (mut asked, mut any) = (false, false);
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for one in values.flat_map(|value| value.split(',')) {
        let quality = one.split(';').skip(1).find_map(|p| p.trim().strip_prefix("q="));
        let quality = quality.and_then(|q| q.trim().parse::<f32>().ok()).unwrap_or(1.0);
        let name = one.split(';').next().unwrap_or_default().trim();
        asked = true;
        if quality <= 0.0 {
            continue;
        }
        let media = match name {
            "*/*" => Some(request),
            "application/*" if request == Media::Csv => Some(Media::Json),
            "application/*" => Some(request),
            "text/*" => Some(Media::Csv),
            name => named(name),
        };
        any |= name == "*/*";
        if let Some(media) = media
            && best.is_none_or(|(best, _)| quality > best)
        {
            best = Some((quality, media));
        }
    }
    match best {
        Some((_, media)) => Ok(media),
        None if !asked || any => Ok(request),
        None => Err(Failure::new(Code::NotAcceptable, format!("Accept: there are {}", names()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str, request: Media) -> Option<Media> {
        let mut headers = HeaderMap::new();
        if !text.is_empty() {
            headers.insert(ACCEPT, text.parse().unwrap());
        }
        of_answer(&headers, request).ok()
    }

    #[test]
    fn the_answer_has_the_form_that_is_liked_best() {
        for (text, request, wanted) in [
            ("", Media::Csv, Some(Media::Csv)),
            ("*/*", Media::Parquet, Some(Media::Parquet)),
            ("application/json", Media::Csv, Some(Media::Json)),
            ("text/csv;q=0.5, application/json", Media::Arrow, Some(Media::Json)),
            ("text/html, text/*;q=0.1", Media::Json, Some(Media::Csv)),
            ("text/html", Media::Json, None),
        ] {
            assert_eq!(accept(text, request), wanted, "{text}");
        }
    }
}
