//! A page of bar charts that needs nothing but itself: no network, no script, light or dark as the reader likes it.

use std::fmt::Write as _;

use super::report::{Chart, Report, number};

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1b1f; --dim: #5d5d66; --ground: #fbfbfc; --line: #d9d9df; --ours: #2468c8; --theirs: #a3a8b4; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8ec; --dim: #a2a2ad; --ground: #17171a; --line: #35353c; --ours: #6ea8ff; --theirs: #666b78; }
}
body { margin: 2rem auto; padding: 0 1rem; max-width: 60rem; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
p, caption, .missing { color: var(--dim); }
table { width: 100%; border-collapse: collapse; margin: 1.25rem 0; }
caption { text-align: left; color: var(--text); font-weight: 600; }
td { padding: .15rem .5rem .15rem 0; vertical-align: middle; }
td:first-child { width: 19rem; } td.number { width: 7rem; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { height: .9rem; min-width: 1px; border-radius: 2px; background: var(--theirs); } .ours .bar { background: var(--ours); }
.ours td:first-child { font-weight: 600; }
@media (max-width: 40rem) { td:first-child { width: auto; } td.number { width: auto; } }
";

/// The whole page.
pub fn html(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>luksmith beside others</title>\n\
         <style>{STYLE}</style>\n<h1>luksmith beside others</h1>\n<p>{}. {}. Medians; all of a chart took turns in one \
         run. Behind each value: how many times as fast the first row is.</p>\n",
        escaped(&report.date),
        escaped(&report.machine)
    );
    let mut subject = "";
    for chart in &report.charts {
        if chart.subject != subject {
            subject = &chart.subject;
            let _ = writeln!(page, "<h2>{}</h2>", escaped(subject));
        }
        table(chart, &mut page);
    }
    page.push_str("</html>\n");
    page
}

fn table(chart: &Chart, page: &mut String) {
    // A time is better when it is short; its bar is as long as it all the same.
    let longest = chart
        .rows
        .iter()
        .map(|row| row.value)
        .fold(f64::MIN_POSITIVE, f64::max);
    let shorter = if chart.unit == "ms" {
        ", shorter is better"
    } else {
        ""
    };
    let _ = writeln!(
        page,
        "<table><caption>{} ({}{shorter})</caption>",
        escaped(&chart.title),
        escaped(&chart.unit)
    );
    for row in &chart.rows {
        let class = if row.name.starts_with("luksmith") {
            " class=\"ours\""
        } else {
            ""
        };
        let ratio = row.ratio.map(number).unwrap_or_default();
        let _ = writeln!(
            page,
            "<tr{class}><td>{}</td><td><div class=\"bar\" style=\"width:{:.2}%\"></div></td>\
             <td class=\"number\">{}</td><td class=\"number\">{ratio}</td></tr>",
            escaped(&row.name),
            row.value / longest * 100.0,
            number(row.value),
        );
    }
    for (name, why) in &chart.missing {
        let _ = writeln!(
            page,
            "<tr class=\"missing\"><td>{}</td><td colspan=\"3\">missing: {}</td></tr>",
            escaped(name),
            escaped(why)
        );
    }
    page.push_str("</table>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn the_page_stands_alone_and_has_every_bar() {
        let page = html(&sample());
        for outside in ["http", "<script", "<link", "url(", "@import", "<img"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("class=\"bar\"").count(), 5);
        assert!(page.contains("&lt;peer&gt;") && !page.contains("<peer>"));
        assert!(page.contains("width:66.67%") && page.contains("width:100.00%"));
        assert!(page.contains("missing: not there") && page.contains("prefers-color-scheme: dark"));
    }
}
