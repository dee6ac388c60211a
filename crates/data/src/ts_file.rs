//! The `.ts` format of the UEA, UCR and TSER archives: labelled cases, one a line, dimensions
//! separated by colons.
//!
//! Header words are read in any case. `?` and `NaN` are missing points. Dimensions of one case may
//! differ in length: the shorter ones end in missing points. Time stamps inside cases are not read.

use super::labelled::{LabelledSet, Labels, class_name};
use super::series::Series;
use ptsm_core::{Error, MemoryBudget, Result, bytes_of};

/// What the header says.
#[derive(Default)]
struct Header {
    /// Class names where they are listed.
    classes: Option<Vec<String>>,
    /// Whether the last part of a line is a label, and whether it is a number.
    labels: Option<bool>,
    /// Lines before the data.
    lines: usize,
}

/// One line of the data.
struct Line {
    series: Series,
    label: String,
}

/// Reads a whole file; `source` names it in messages.
pub(super) fn read(text: &str, source: &str) -> Result<LabelledSet> {
    read_lines(text).map_err(|e| e.at(source))
}

fn read_lines(text: &str) -> Result<LabelledSet> {
    let header = read_header(text)?;
    let way_out = "cases whose dimensions are of like length";
    let budget = MemoryBudget::new("laying out the cases", way_out);
    let mut cases = Vec::new();
    let mut labels = Vec::new();
    for (i, line) in text.lines().enumerate().skip(header.lines) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '%']) {
            continue;
        }
        let place = format!("line {}", i + 1);
        let Line { series, label } =
            read_case(line, cases.len(), &budget).map_err(|e| e.at(place.clone()))?;
        let width = cases.first().map_or(series.num_channels, |first: &Series| first.num_channels);
        if series.num_channels != width {
            let got = series.num_channels;
            let text = format!("has {got} dimensions, the cases before it have {width}");
            return Err(Error::input(text).at(place));
        }
        labels.push((i + 1, label));
        cases.push(series);
    }
    let Some(width) = cases.first().map(|case| case.num_channels) else {
        return Err(Error::input("holds no case after @data"));
    };
    let labels = match header.labels {
        Some(true) => values(&labels)?,
        _ => classes(&labels, header.classes)?,
    };
    let channels = (0..width).map(|c| format!("dim_{c}")).collect();
    LabelledSet::new(channels, cases, labels)
}

fn read_header(text: &str) -> Result<Header> {
    let mut header = Header::default();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        header.lines = i + 1;
        if line.is_empty() || line.starts_with(['#', '%']) {
            continue;
        }
        let mut words = line.split_whitespace();
        let word = words.next().unwrap_or_default().to_lowercase();
        let rest: Vec<String> = words.map(str::to_owned).collect();
        let yes = rest.first().is_some_and(|word| word.eq_ignore_ascii_case("true"));
        let place = format!("line {}", i + 1);
        match word.as_str() {
            "@data" => {
                return match header.labels {
                    Some(_) => Ok(header),
                    None => Err(Error::input(
                        "neither @classLabel true nor @targetLabel true comes before @data: cases \
                         without labels cannot be learned from",
                    )),
                };
            }
            "@timestamps" if yes => {
                let text = "cases with time stamps are not read, wanted @timestamps false";
                return Err(Error::input(text).at(place));
            }
            // Some programs write the underscore.
            "@classlabel" | "@class_label" | "@class_labels" | "@classlabels" if yes => {
                header.labels = Some(false);
                header.classes = (rest.len() > 1).then(|| rest[1..].to_vec());
            }
            "@targetlabel" | "@target_label" | "@targetlabels" | "@target_labels" if yes => {
                header.labels = Some(true)
            }
            _ if word.starts_with('@') => {}
            _ => {
                let text = format!("\"{word}\" comes before @data, wanted a word with an @");
                return Err(Error::input(text).at(place));
            }
        }
    }
    Err(Error::input("has no @data line: it is no .ts file"))
}

fn read_case(line: &str, number: usize, budget: &MemoryBudget) -> Result<Line> {
    let mut parts: Vec<&str> = line.split(':').collect();
    let label = parts.pop().unwrap_or_default().trim().to_owned();
    if parts.is_empty() {
        return Err(Error::input("has no colon: wanted dimensions and a label between colons"));
    }
    let mut dimensions = Vec::with_capacity(parts.len());
    for (d, part) in parts.iter().enumerate() {
        dimensions.push(read_dimension(part).map_err(|e| e.at(format!("dimension {}", d + 1)))?);
    }
    let (width, length) =
        (dimensions.len(), dimensions.iter().map(Vec::len).max().unwrap_or_default());
    if length == 0 {
        return Err(Error::input("holds no point"));
    }
    // The points, the case that they become, and which of them are known.
    budget.take(bytes_of(&[length, width, 5]))?;
    let mut values = vec![f64::NAN; length * width];
    for (d, points) in dimensions.iter().enumerate() {
        for (t, &point) in points.iter().enumerate() {
            values[t * width + d] = point;
        }
    }
    Ok(Line { series: Series::new(number.to_string(), width, values)?, label })
}

fn read_dimension(text: &str) -> Result<Vec<f64>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let cells = text.split(',').enumerate();
    cells
        .map(|(i, cell)| {
            let cell = cell.trim();
            if cell == "?" || cell.eq_ignore_ascii_case("nan") {
                return Ok(f64::NAN);
            }
            match cell.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(value),
                _ => {
                    let text = format!("\"{cell}\" is no finite number (missing points are ?)");
                    Err(Error::input(text).at(format!("value {}", i + 1)))
                }
            }
        })
        .collect()
}

fn values(labels: &[(usize, String)]) -> Result<Labels> {
    let mut of = Vec::with_capacity(labels.len());
    for (line, label) in labels {
        match label.parse::<f64>() {
            Ok(value) if value.is_finite() => of.push(value),
            _ => {
                let text = format!("the target \"{label}\" is no finite number");
                return Err(Error::input(text).at(format!("line {line}")));
            }
        }
    }
    Ok(Labels::Values { names: vec!["target".into()], of })
}

fn classes(labels: &[(usize, String)], listed: Option<Vec<String>>) -> Result<Labels> {
    let Some(names) = listed else {
        return Ok(Labels::classes(labels.iter().map(|(_, label)| label.clone()).collect()));
    };
    let names: Vec<String> = names.iter().map(|name| class_name(name).to_owned()).collect();
    let mut of = Vec::with_capacity(labels.len());
    for (line, label) in labels {
        let Some(class) = names.iter().position(|name| name == class_name(label)) else {
            let listed = names.join(", ");
            let text = format!("the class \"{label}\" is not one of @classLabel: {listed}");
            return Err(Error::input(text).at(format!("line {line}")));
        };
        of.push(class);
    }
    Ok(Labels::Classes { names, of })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "# about\n@problemName x\n@classLabel true a b\n@data\n1,2,?:4,5,6:a\n7:8,9:b\n";

    #[test]
    fn cases_of_any_length_are_read_with_gaps() {
        let set = read(GOOD, "x.ts").unwrap();
        assert_eq!(set.channels, ["dim_0", "dim_1"]);
        assert_eq!(
            set.labels,
            Labels::Classes { names: vec!["a".into(), "b".into()], of: vec![0, 1] }
        );
        let [first, second] = &set.cases[..] else { panic!("two cases") };
        assert_eq!((first.num_rows(), second.num_rows()), (3, 2));
        assert_eq!(first.get(2, 0), None);
        assert_eq!(first.get(2, 1), Some(6.0));
        assert_eq!(second.get(1, 0), None);
        assert_eq!(second.get(1, 1), Some(9.0));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (from, to, says) in [
            ("4,5,6", "4,x,6", "x.ts: line 5: dimension 2: value 2: \"x\""),
            (":b", ":c", "x.ts: line 6: the class \"c\""),
            ("7:8,9:b", "7:b", "x.ts: line 6: has 1 dimensions"),
            ("7:8,9:b", "7", "no colon"),
            ("@data", "data", "\"data\" comes before @data"),
            ("@classLabel true a b", "@classLabel false", "without labels"),
            ("@problemName x", "@timestamps true", "line 2: cases with time stamps"),
        ] {
            let error = read(&GOOD.replace(from, to), "x.ts").unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn classes_may_be_written_as_decimals() {
        for text in [
            "@classLabel true 1 2\n@data\n1,2:1.0\n3,4:2\n",
            "@class_labels true 1.0 2.0\n@data\n1,2:1\n3,4:2.0\n",
            "@CLASSLABEL true\n@data\n1,2:1.0\n3,4:2\n5,6:1\n",
        ] {
            let labels = read(text, "x.ts").unwrap().labels;
            let Labels::Classes { names, of } = labels else { panic!("classes") };
            assert_eq!((names, &of[..2]), (vec!["1".into(), "2".into()], &[0, 1][..]), "{text}");
        }
    }

    #[test]
    fn targets_are_numbers() {
        let text = "@targetlabel true\n@data\n1,2:0.5\n3,4:-1\n";
        let labels = read(text, "x.ts").unwrap().labels;
        assert_eq!(labels, Labels::Values { names: vec!["target".into()], of: vec![0.5, -1.0] });
        assert!(read(&text.replace("-1", "?"), "x.ts").is_err());
    }
}
