//! What was measured, and tables of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

/// Everything that one run measured.
#[derive(Debug)]
pub struct Report {
    pub date: String,
    /// Processor, cores, load before, kernels.
    pub machine: String,
    pub charts: Vec<Chart>,
}

/// One contest.
#[derive(Debug)]
pub struct Chart {
    pub subject: String,
    pub title: String,
    pub unit: String,
    pub rows: Vec<Row>,
    pub missing: Vec<(String, String)>,
}

/// One contestant. Its ratio says how many times as fast the first one is.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub value: f64,
    pub ratio: Option<f64>,
    pub quiet_ratio: Option<f64>,
}

impl Report {
    /// `lines`: the machine, then the charts, as the benches print them.
    pub fn new(date: &str, lines: Vec<Value>) -> Result<Self, String> {
        let mut lines = lines.into_iter();
        let machine = lines.next().ok_or("the benches printed nothing")?;
        let kernels: Vec<&str> = array(&machine["aes_kernels"])
            .filter_map(Value::as_str)
            .collect();
        let machine = format!(
            "{} cores of {}, load before {}, AES kernels {}",
            machine["cores"],
            machine["processor"].as_str().unwrap_or("?"),
            machine["load"].as_str().unwrap_or("?"),
            kernels.join(", ")
        );
        let charts = lines
            .map(|line| Chart::new(&line).ok_or(format!("no chart: {line}")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            date: date.to_owned(),
            machine,
            charts,
        })
    }

    /// Tables: charts with the same contestants are rows of one, any other chart is a table of its own.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}, {}\n", self.date, self.machine);
        let mut rest = &self.charts[..];
        while let Some(first) = rest.first() {
            let alike = rest.iter().take_while(|chart| chart.is_like(first)).count();
            let (group, others) = rest.split_at(alike);
            text.push('\n');
            if group.len() > 1 && first.has_ratios() {
                matrix(group, &mut text);
            } else {
                let lists: Vec<String> = group.iter().map(Chart::list).collect();
                text.push_str(&lists.join("\n"));
            }
            rest = others;
        }
        let missing: BTreeSet<String> = self
            .charts
            .iter()
            .flat_map(|chart| &chart.missing)
            .map(|(name, why)| format!("missing: {name}: {why}\n"))
            .collect();
        if !missing.is_empty() {
            text.push('\n');
            text.extend(missing);
        }
        text
    }
}

impl Chart {
    fn new(line: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let rows = array(&line["rows"])
            .map(|row| {
                Some(Row {
                    name: text(&row["name"])?,
                    value: row["value"].as_f64()?,
                    ratio: row["ratio"].as_f64(),
                    quiet_ratio: row["quiet_ratio"].as_f64(),
                })
            })
            .collect::<Option<_>>()?;
        let missing = array(&line["missing"])
            .map(|missing| Some((text(&missing["name"])?, text(&missing["why"])?)))
            .collect::<Option<_>>()?;
        Some(Self {
            subject: text(&line["subject"])?,
            title: text(&line["title"])?,
            unit: text(&line["unit"])?,
            rows,
            missing,
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        let names = |chart: &Self| -> BTreeSet<String> {
            let missing = chart.missing.iter().map(|(name, _)| name);
            chart
                .rows
                .iter()
                .map(|row| &row.name)
                .chain(missing)
                .cloned()
                .collect()
        };
        self.subject == other.subject && self.unit == other.unit && names(self) == names(other)
    }

    fn has_ratios(&self) -> bool {
        self.rows.iter().any(|row| row.ratio.is_some())
    }

    fn list(&self) -> String {
        let mut text = format!("| {} | {} |", self.title, self.unit);
        text.push_str(if self.has_ratios() {
            " the first is so many times as fast |\n| --- | --- | --- |\n"
        } else {
            "\n| --- | --- |\n"
        });
        for row in &self.rows {
            let _ = write!(text, "| {} | {} |", row.name, number(row.value));
            if self.has_ratios() {
                let _ = write!(text, " {} |", ratio(row));
            }
            text.push('\n');
        }
        text
    }
}

fn matrix(group: &[Chart], text: &mut String) {
    // The chart in which most took part has the order of the columns.
    let Some(widest) = group.iter().max_by_key(|chart| chart.rows.len()) else {
        return;
    };
    let Some((first, others)) = widest.rows.split_first() else {
        return;
    };
    let _ = write!(
        text,
        "| {}: how many times as fast {} is | {}, {} |",
        widest.subject, first.name, first.name, widest.unit
    );
    for other in others {
        let _ = write!(text, " {} |", other.name);
    }
    let _ = writeln!(text, "\n|{}", " --- |".repeat(widest.rows.len() + 1));
    for chart in group {
        let of = |name: &str| chart.rows.iter().find(|row| row.name == name);
        let value = of(&first.name).map_or("-".to_owned(), |row| number(row.value));
        let _ = write!(text, "| {} | {value} |", chart.title);
        for other in others {
            let _ = write!(text, " {} |", of(&other.name).map_or("-".to_owned(), ratio));
        }
        text.push('\n');
    }
}

/// All turns, and the quiet ones where those say something else.
fn ratio(row: &Row) -> String {
    let Some(all) = row.ratio else {
        return String::new();
    };
    match row.quiet_ratio {
        Some(quiet) if (quiet / all - 1.0).abs() >= 0.01 => {
            format!("{} (quiet {})", number(all), number(quiet))
        }
        _ => number(all),
    }
}

/// Three digits or all of the whole ones.
pub fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    pub fn sample() -> Report {
        let chart = |title: &str, theirs: f64, missing: Value| {
            json!({ "subject": "sector-ciphers", "title": title, "unit": "GiB/s", "turns": 9, "rows": [
                { "name": "luksmith", "value": 12.0, "ratio": 1.0, "quiet_ratio": 1.0 },
                { "name": "<peer>", "value": theirs, "ratio": 12.0 / theirs, "quiet_ratio": 1.5 },
            ], "missing": missing })
        };
        let alone = json!({ "subject": "kdfs", "title": "alone", "unit": "ms", "turns": 1, "rows": [
            { "name": "luksmith", "value": 0.0412, "ratio": null, "quiet_ratio": null },
        ], "missing": [{ "name": "libargon2", "why": "not there" }]});
        let machine = json!({ "processor": "P", "cores": 2, "load": "0.10", "aes_kernels": ["portable", "vaes"] });
        let lines = vec![
            machine,
            chart("one", 8.0, json!([])),
            chart("two", 0.06, json!([])),
            alone,
        ];
        Report::new("2026-01-02", lines).unwrap()
    }

    #[test]
    fn charts_alike_are_one_table() {
        assert_eq!(
            sample().markdown(),
            "\
2026-01-02, 2 cores of P, load before 0.10, AES kernels portable, vaes

| sector-ciphers: how many times as fast luksmith is | luksmith, GiB/s | <peer> |
| --- | --- | --- |
| one | 12.0 | 1.50 |
| two | 12.0 | 200 (quiet 1.50) |

| alone | ms |
| --- | --- |
| luksmith | 0.0412 |

missing: libargon2: not there
"
        );
    }

    #[test]
    fn what_is_no_chart_is_refused() {
        assert!(Report::new("", Vec::new()).is_err());
        assert!(Report::new("", vec![json!({}), json!({ "title": "x" })]).is_err());
    }
}
