//! Reports as one HTML file: no script, no other file, light or dark as the reader's system is.
//!
//! A [`Report`] is plain data; [`Report::render`] puts it into `report.html`, where every text is
//! escaped. Only pictures are inserted unescaped; [`Svg`] guarantees that they are safe.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use ptsm::{Error, Result};
use serde::Serialize;

use crate::plot::{Svg, dark_rules};

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");

/// A report: a title, a few large figures, and sections.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    /// Title of the page.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// Large figures at the top, at best two to four.
    pub(crate) figures: Vec<Figure>,
    /// Sections in order.
    pub(crate) sections: Vec<Section>,
    /// Last line of the page, such as versions and date; may be empty.
    pub(crate) footer: String,
}

/// A number that is shown large at the top.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// What it is.
    pub(crate) name: String,
    /// The number, formatted.
    pub(crate) value: String,
    /// What it means or is compared with; may be empty.
    pub(crate) note: String,
}

/// A titled part of a report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Section {
    /// Heading.
    pub(crate) title: String,
    /// The content below the heading.
    pub(crate) content: Content,
}

/// What a section holds.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Content {
    /// Paragraphs of plain text.
    Text {
        /// The paragraphs.
        paragraphs: Vec<String>,
    },
    /// Verbatim text to be copied, such as a command.
    Code {
        /// The text, with its line breaks.
        text: String,
    },
    /// A table.
    Table(Table),
    /// Names and values, one pair a line.
    KeyValues {
        /// The pairs.
        pairs: Vec<(String, String)>,
    },
    /// A picture.
    Picture {
        /// The picture.
        #[serde(serialize_with = "svg_text")]
        svg: Svg,
        /// One line below it; may be empty.
        caption: String,
    },
}

/// A table of formatted cells.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Table {
    /// Columns from left to right.
    pub(crate) columns: Vec<Column>,
    /// Cells of each row, as many as there are columns.
    pub(crate) rows: Vec<Vec<String>>,
    /// For each column the numbers of the rows, counted from 0, that are the best in it and are marked;
    /// empty where none is.
    pub(crate) best: Vec<Vec<usize>>,
    /// One line below it; may be empty.
    pub(crate) note: String,
}

/// A column of a table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Column {
    /// Heading.
    pub(crate) title: String,
    /// Whether its cells are numbers, which are aligned to the right.
    pub(crate) numeric: bool,
}

impl Column {
    /// A column of text.
    pub(crate) fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), numeric: false }
    }

    /// A column of numbers.
    pub(crate) fn number(title: impl Into<String>) -> Self {
        Self { title: title.into(), numeric: true }
    }
}

impl Section {
    /// A section of plain text.
    pub(crate) fn text(title: impl Into<String>, paragraphs: Vec<String>) -> Self {
        Self::new(title, Content::Text { paragraphs })
    }

    /// A section with a command or another verbatim text.
    pub(crate) fn code(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(title, Content::Code { text: text.into() })
    }

    /// A section with a table.
    pub(crate) fn table(title: impl Into<String>, table: Table) -> Self {
        Self::new(title, Content::Table(table))
    }

    /// A section of names and values.
    pub(crate) fn key_values(title: impl Into<String>, pairs: Vec<(String, String)>) -> Self {
        Self::new(title, Content::KeyValues { pairs })
    }

    /// A section with a picture.
    pub(crate) fn picture(title: impl Into<String>, svg: Svg, caption: impl Into<String>) -> Self {
        let caption = caption.into();
        Self::new(title, Content::Picture { svg, caption })
    }

    fn new(title: impl Into<String>, content: Content) -> Self {
        Self { title: title.into(), content }
    }
}

impl Report {
    /// The whole page.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](ptsm::ErrorKind::InvalidInput) if a row of a table has another
    /// number of cells than the table has columns.
    pub(crate) fn render(&self) -> Result<String> {
        for section in &self.sections {
            if let Content::Table(table) = &section.content {
                table.check().map_err(|error| error.at(&section.title))?;
            }
        }
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let values =
            context! { report => Serde(self), style => STYLE, dark_pictures => dark_rules() };
        environment
            .render_str(TEMPLATE, values)
            .map_err(|error| Error::internal("the report cannot be written").because(error))
    }
}

impl Table {
    fn check(&self) -> Result<()> {
        let wanted = self.columns.len();
        for (number, row) in self.rows.iter().enumerate() {
            if row.len() != wanted {
                return Err(Error::input(format!(
                    "row {} has {} cells, the table {wanted} columns",
                    number + 1,
                    row.len()
                )));
            }
        }
        Ok(())
    }
}

fn svg_text<S: serde::Serializer>(
    svg: &Svg,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(svg.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::tests::{forecast_plot, training_curve};
    use crate::plot::{Bar, BarsPlot, to_svg};

    fn bars(name: &str) -> Svg {
        let bar = |name: &str, value, is_model| Bar { name: name.to_owned(), value, is_model };
        let plot = BarsPlot {
            title: String::new(),
            subtitle: String::new(),
            metric: "MSE, lower is better".to_owned(),
            bars: vec![
                bar("PatchTSMixer", 0.3712, true),
                bar("ridge", 0.3856, false),
                bar(name, 0.5121, false),
            ],
        };
        to_svg(&plot).unwrap()
    }

    fn scores(names: &[&str]) -> Table {
        let row = |(number, name): (usize, &&str)| {
            let score = 0.3 + 0.1 * number as f64;
            vec![(*name).to_owned(), format!("{score:.4}"), format!("{:.4}", score * 0.9)]
        };
        Table {
            columns: vec![Column::text("forecaster"), Column::number("MSE"), Column::number("MAE")],
            rows: names.iter().enumerate().map(row).collect(),
            best: vec![Vec::new(), vec![0], vec![1]],
            note: "standardised units, 2 785 windows".to_owned(),
        }
    }

    fn report() -> Report {
        let figure = |name: &str, value: &str, note: &str| Figure {
            name: name.to_owned(),
            value: value.to_owned(),
            note: note.to_owned(),
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Report {
            title: "ETTh1, 96 hours ahead".to_owned(),
            subtitle: "PatchTSMixer, trained from scratch".to_owned(),
            figures: vec![
                figure("MSE", "0.3712", "3.7 % below ridge"),
                figure("MAE", "0.3941", "3.1 % below ridge"),
                figure("training", "41 s", "30 epochs, best 12"),
            ],
            sections: vec![
                Section::code("Command", "ptsm train --data ETTh1.csv --out model"),
                Section::key_values(
                    "Data",
                    vec![pair("rows", "17 420"), pair("channels", "7"), pair("gaps", "none")],
                ),
                Section::table("Scores", scores(&["PatchTSMixer", "ridge", "seasonal naive"])),
                Section::picture("Against the baselines", bars("seasonal naive"), "test split"),
                Section::picture("Forecast", to_svg(&forecast_plot(7)).unwrap(), ""),
                Section::picture("Training", to_svg(&training_curve()).unwrap(), ""),
                Section::text("Notes", vec!["Every window of the test split counts.".to_owned()]),
            ],
            footer: "ptsm 0.1.0, seed 42".to_owned(),
        }
    }

    /// Set `PTSM_PICTURES` to a folder to keep the page there and look at it.
    #[test]
    fn every_kind_of_section_is_there() {
        let page = report().render().unwrap();
        if let Some(folder) = std::env::var_os("PTSM_PICTURES") {
            std::fs::write(std::path::Path::new(&folder).join("report.html"), &page).unwrap();
        }
        for part in [
            "<h1>ETTh1, 96 hours ahead</h1>",
            "ptsm train --data ETTh1.csv --out model",
            "<dt>rows</dt>",
            "<dd>17 420</dd>",
            "0.3000",
            "<svg xmlns",
            "Every window of the test split counts.",
            "3.7 % below ridge",
            "ptsm 0.1.0, seed 42",
            "<td class=\"number best\">0.3000</td><td class=\"number\">0.2700</td>",
            "<td class=\"number\">0.4000</td><td class=\"number best\">0.3600</td>",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn page_refers_to_nothing_outside() {
        let page = report().render().unwrap();
        for word in ["<script", "<link", "src=", "url(", "@import", "href=\"http"] {
            assert!(!page.contains(word), "{word}");
        }
        assert_eq!(page.matches("http").count(), page.matches("xmlns=\"http").count());
    }

    #[test]
    fn hostile_names_are_escaped_everywhere() {
        let hostile = "</title></style><script>alert('x')</script>\"&";
        let mut report = report();
        report.title = hostile.to_owned();
        report.subtitle = hostile.to_owned();
        report.footer = hostile.to_owned();
        report.figures[0].name = hostile.to_owned();
        let mut table = scores(&[hostile]);
        table.columns[0].title = hostile.to_owned();
        table.note = hostile.to_owned();
        report.sections = vec![
            Section::table(hostile, table),
            Section::code(hostile, hostile),
            Section::key_values(hostile, vec![(hostile.to_owned(), hostile.to_owned())]),
            Section::text(hostile, vec![hostile.to_owned()]),
            Section::picture(hostile, bars(hostile), hostile),
        ];
        let page = report.render().unwrap();
        assert!(!page.contains("<script"));
        assert_eq!(page.matches("</title>").count(), 1);
        assert_eq!(page.matches("</style>").count(), 1);
        assert!(page.matches("&lt;script&gt;").count() >= 15);
    }

    #[test]
    fn ragged_table_is_an_error_that_names_the_section() {
        let mut report = report();
        let mut table = scores(&["a", "b"]);
        table.rows[1].pop();
        report.sections.push(Section::table("Per channel", table));
        let text = report.render().unwrap_err().to_string();
        assert_eq!(text, "Per channel: row 2 has 2 cells, the table 3 columns");
    }

    #[test]
    fn empty_report_renders() {
        let page = Report::default().render().unwrap();
        assert!(page.starts_with("<!doctype html>") && page.contains("</html>"));
        assert!(!page.contains("<section"));
    }
}
