//! The picture as SVG.

use std::fmt::Write;

use super::Timeline;
use super::runs::{Lane, Stretch, handlers, histogram, operations, span, tasks, waiting};

/// Sizes in pixels.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 24.0;
const LANE: f64 = 22.0;
const GAP: f64 = 14.0;
const CHART: f64 = 64.0;
/// A letter of the labels' size, about.
const LETTER: f64 = 6.0;

/// Seconds of one bar of the charts.
const BIN: f64 = 0.5;

const STYLE: &str = "
  svg { font: 11px system-ui, sans-serif; } .page { fill: #ffffff; }
  text { fill: #1f2328; } .soft { fill: #59636e; } .title { font-size: 17px; font-weight: 600; }
  .head { font-weight: 600; } .inside { fill: #ffffff; font-size: 10px; } .verdict { font-size: 14px; font-weight: 600; }
  .grid { stroke: #d1d9e0; } .mark { stroke: #818b98; stroke-dasharray: 3 3; }
  .work { fill: #0969da; } .handler { fill: #0550ae; } .silent { fill: #cf222e; }
  .good { fill: #1a7f37; } .rest { fill: #6e7781; } .bad { fill: #cf222e; } .change { fill: #8250df; }
  .transit { fill: #9a6700; } .written { fill: #0969da; } .seen { fill: #1a7f37; } .again { fill: #bc4c00; }
  .waiting { fill: #d4a72c; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9198a1; } .inside { fill: #ffffff; }
    .grid { stroke: #30363d; } .mark { stroke: #656c76; }
    .work { fill: #1f6feb; } .handler { fill: #388bfd; } .silent { fill: #da3633; } .good { fill: #238636; }
    .rest { fill: #656c76; } .bad { fill: #da3633; } .change { fill: #8957e5; } .transit { fill: #9e6a03; }
    .written { fill: #388bfd; } .seen { fill: #2ea043; } .again { fill: #db6d28; } .waiting { fill: #d29922; }
  }
";

struct Canvas {
    body: String,
    from: f64,
    scale: f64,
    width: f64,
    y: f64,
}

/// Draws a run.
pub(super) fn draw(timeline: &Timeline) -> String {
    let (from, to) = span(timeline);
    let scale = (1_100.0 / (to - from)).clamp(9.0, 24.0);
    let mut canvas =
        Canvas { body: String::new(), from, scale, width: LEFT + (to - from) * scale + RIGHT, y: 30.0 };
    canvas.text(16.0, "title", &timeline.title);
    canvas.y += 22.0;
    canvas.text(16.0, "verdict", &timeline.verdict);
    canvas.y += 20.0;
    let top = canvas.y;
    canvas.marks(timeline, to);
    canvas.lanes("CloudFormation", &operations(timeline));
    canvas.lanes("Sluice's functions", &handlers(timeline));
    canvas.lanes("DMS", &tasks(timeline));
    canvas.charts(timeline, (from, to));
    canvas.axis(timeline, top, to);
    canvas.legend();
    let Canvas { body, width, y, .. } = canvas;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {y:.0}\" width=\"{width:.0}\" \
         height=\"{y:.0}\"><style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" \
         class=\"page\"/>\n{body}</svg>\n"
    )
}

impl Canvas {
    fn x(&self, moment: f64) -> f64 {
        LEFT + (moment - self.from) * self.scale
    }

    fn text(&mut self, x: f64, class: &str, words: &str) {
        let (y, words) = (self.y, escaped(words));
        let _ = writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{words}</text>");
    }

    fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, tip: &str) {
        let tip = escaped(tip);
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"{class}\"><title>{tip}\
             </title></rect>"
        );
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        );
    }

    /// What was done when, in words: those of a moment above, the others in the room they have.
    fn marks(&mut self, timeline: &Timeline, to: f64) {
        let ends = timeline.marks.iter().skip(1).map(|(at, _)| *at).chain([to]);
        let rooms = timeline.marks.iter().zip(ends);
        let rooms = rooms.map(|((at, words), end)| (*at, words, (end - at) * self.scale));
        let (short, long): (Vec<_>, Vec<_>) = rooms.partition(|(_, words, room)| {
            let longest = words.split_whitespace().map(str::len).max();
            longest.unwrap_or_default() as f64 * LETTER > *room
        });
        for (at, words, _) in short {
            self.y += 13.0;
            self.text(self.x(at) + 3.0, "soft", words);
        }
        let top = self.y;
        let mut bottom = top;
        for (at, words, room) in long {
            self.y = top + 4.0;
            for line in wrapped(words, (room / LETTER) as usize) {
                self.y += 13.0;
                self.text(self.x(at) + 3.0, "", &line);
            }
            bottom = bottom.max(self.y);
        }
        self.y = bottom + GAP;
    }

    fn lanes(&mut self, head: &str, lanes: &[Lane]) {
        if lanes.is_empty() {
            return;
        }
        self.y += 8.0;
        self.text(16.0, "head", head);
        self.y += 6.0;
        for (name, stretches) in lanes {
            let middle = self.y + LANE / 2.0 + 4.0;
            let top = std::mem::replace(&mut self.y, middle);
            self.text(24.0, "soft", name);
            for stretch in stretches {
                self.stretch(stretch, top);
            }
            self.y = top + LANE;
        }
        self.y += GAP;
    }

    fn stretch(&mut self, stretch: &Stretch, top: f64) {
        let x = self.x(stretch.from);
        let width = (self.x(stretch.to) - x).max(2.0);
        let lasted = stretch.to - stretch.from;
        let tip = format!("{} {lasted:.1} s", stretch.label);
        self.bar((x, top + 2.0), (width - 0.5, LANE - 4.0), stretch.class, &tip);
        if stretch.label.len() as f64 * LETTER + 6.0 < width {
            self.text(x + 3.0, "inside", &stretch.label);
        }
    }

    /// Rows written upwards, rows seen below, and what is between the two.
    fn charts(&mut self, timeline: &Timeline, span: (f64, f64)) {
        let film = &timeline.film;
        let bins = |moments: &[f64]| histogram(moments, span, BIN);
        let charts = [
            ("rows written", "written", bins(&film.written)),
            ("rows seen", "seen", bins(&film.seen)),
            ("seen once more", "again", bins(&film.again)),
            ("waiting in the log", "waiting", waiting(timeline, span, BIN)),
        ];
        self.y += 8.0;
        self.text(16.0, "head", "Rows on their way");
        self.y += 8.0;
        for (name, class, bins) in charts {
            let most = bins.iter().copied().max().unwrap_or_default();
            let height = if class == "again" { CHART / 2.0 } else { CHART };
            let bottom = self.y + height;
            self.y = bottom - 2.0;
            self.text(24.0, "soft", name);
            self.y = bottom - height + 12.0;
            let per = if class == "waiting" { "at most" } else { "per half second, at most" };
            if most > 0 {
                self.text(24.0, "soft", &format!("{most} {per}"));
            }
            for (place, count) in bins.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                let tall = (height - 6.0) * count as f64 / most as f64;
                let x = LEFT + place as f64 * BIN * self.scale;
                let size = (BIN * self.scale - 0.5, tall);
                self.bar((x, bottom - tall), size, class, &format!("{count}"));
            }
            self.line((LEFT, bottom), (self.width - RIGHT, bottom), "grid");
            self.y = bottom + GAP;
        }
    }

    /// Seconds, below, and behind all of it a line where each part begins.
    fn axis(&mut self, timeline: &Timeline, top: f64, to: f64) {
        let bottom = self.y - GAP;
        let drawn = std::mem::take(&mut self.body);
        for (at, _) in &timeline.marks {
            let x = self.x(*at);
            self.line((x, top), (x, bottom), "mark");
        }
        self.body.push_str(&drawn);
        self.y += 6.0;
        let step = if to - self.from > 150.0 { 20.0 } else { 5.0 };
        let mut second = 0.0;
        while self.from + second <= to {
            let x = self.x(self.from + second);
            self.line((x, bottom), (x, bottom + 4.0), "grid");
            self.text(x - 4.0, "soft", &format!("{second:.0} s"));
            second += step;
        }
        self.y += 20.0;
    }

    fn legend(&mut self) {
        let mut x = 16.0;
        for (class, words) in [
            ("good", "runs"),
            ("transit", "starts or stops"),
            ("rest", "rests"),
            ("change", "is modified"),
            ("bad", "failed, is rolled back, or ended without an answer"),
        ] {
            let y = self.y - 9.0;
            self.bar((x, y), (10.0, 10.0), class, words);
            self.text(x + 14.0, "soft", words);
            x += 34.0 + words.len() as f64 * LETTER;
        }
        self.y += 16.0;
    }
}

/// Words in lines of so many letters.
fn wrapped(words: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let last = lines.last().map_or(0, String::len);
        if last > 0 && last + 1 + word.len() > room {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
