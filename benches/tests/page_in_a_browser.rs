//! The page of `lab report`, opened in headless Chromium: what the browser made of it, in light, in dark, as narrow as a phone.
//!
//! Where there is no Chromium these tests say SKIPPED and pass; with `SIGNALPOST_CHROMIUM=require` they fail then.

mod common;

use common::{Folder, lab, text};
use serde_json::{Value, json};
use std::{
    env, fs, panic,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Ends a hang; a visit takes a second or two.
const PATIENCE: Duration = Duration::from_secs(120);

/// In the copy of a page that is visited, before its policy forbids to run anything: says what the browser made of it.
const WATCH: &str = "<script>
const violations = [];
addEventListener('securitypolicyviolation', event => violations.push(event.blockedURI));
addEventListener('error', event => violations.push(String(event.message)));
addEventListener('load', () => {
  const box = element => { const b = element.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom].map(Math.round) };
  const all = selector => [...document.querySelectorAll(selector)];
  parent.postMessage({
    width: innerWidth,
    scrolls: document.documentElement.scrollWidth,
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    ground: getComputedStyle(document.body).backgroundColor,
    loaded: performance.getEntriesByType('resource').length,
    violations,
    charts: all('svg[role=img]').map(box),
    lines: all('polyline.curve').filter(line => line.getBoundingClientRect().width > 50).length,
    boxes: all('.wide').map(box),
    letters: Math.min(...all('svg[role=img] text').map(element => element.getBoundingClientRect().height).filter(height => height > 0)),
    unnamed: all('svg[role=img]').filter(svg => !svg.querySelector('title').textContent || !svg.querySelector('desc').textContent).length,
    headless: all('th:not([scope])').length,
  }, '*');
});
</script>";

/// Around it: a frame of any width, since a window is never as narrow as a phone.
fn frame(file: &str, width: u32) -> String {
    format!(
        "<!DOCTYPE html><meta charset=utf-8><script>addEventListener('message', event => {{
           const seen = document.createElement('pre'); seen.id = 'seen'; seen.textContent = JSON.stringify(event.data); document.body.append(seen)
         }})</script><body><iframe src='{file}' width={width} height=900 style='border:0'></iframe>"
    )
}

fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let folders: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let found = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(
            env::var_os("SIGNALPOST_CHROMIUM").is_none_or(|value| value != "require"),
            "no Chromium among {names:?} in PATH, and SIGNALPOST_CHROMIUM=require"
        );
        eprintln!("SKIPPED: no Chromium among {names:?} in PATH; no page was opened");
    }
    found
}

/// What the page in the frame said of itself, and what was written to the console.
fn visit(chromium: &PathBuf, folder: &Folder, page: &str, dark: bool) -> (Value, Vec<String>) {
    let (dom, log) = (folder.file("dom.html"), folder.file("log.txt"));
    let mut child = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
        ])
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--user-data-dir={}", folder.file("profile")))
        .args(["--window-size=1400,1000", "--dump-dom", &format!("file://{}", folder.file(page))])
        .stdin(Stdio::null())
        .stdout(fs::File::create(&dom).unwrap())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .expect("Chromium starts");
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("Chromium hangs: {}", fs::read_to_string(&log).unwrap_or_default());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let log = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
    let dom = fs::read_to_string(&dom).unwrap();
    let seen = dom.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let seen = seen.unwrap_or_else(|| panic!("the page was not loaded: {log}"));
    let seen = seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let console = log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    (serde_json::from_str(&seen).unwrap(), console)
}

/// Opens a page of the lab, and finds that nothing is wrong with it.
fn look(chromium: &PathBuf, folder: &Folder, page: &str, dark: bool, width: u32) -> Value {
    let text = fs::read_to_string(folder.file(page)).unwrap();
    let watched = text.replacen("<meta charset=\"utf-8\">", &format!("<meta charset=\"utf-8\">{WATCH}"), 1);
    assert_ne!(watched, text);
    fs::write(folder.file("watched.html"), watched).unwrap();
    fs::write(folder.file("frame.html"), frame("watched.html", width)).unwrap();
    let (seen, console) = visit(chromium, folder, "frame.html", dark);
    assert_eq!(console, [""; 0], "{page}");
    assert_eq!((&seen["violations"], &seen["loaded"]), (&json!([]), &json!(0)), "{page}");
    assert_eq!((&seen["width"], &seen["dark"]), (&json!(width), &json!(dark)));
    assert!(seen["scrolls"].as_u64().unwrap() <= u64::from(width), "{page} is wider than {width}: {seen}");
    assert_eq!((&seen["unnamed"], &seen["headless"]), (&json!(0), &json!(0)));
    for of in [&seen["charts"], &seen["boxes"]] {
        let boxes = of.as_array().unwrap();
        assert!(!boxes.is_empty());
        for side in boxes {
            let side: Vec<i64> = side.as_array().unwrap().iter().map(|edge| edge.as_i64().unwrap()).collect();
            let [left, top, right, bottom] = side[..] else { panic!("{side:?}") };
            assert!(
                right - left >= 200 && bottom - top >= 20 && left >= 0 && right <= i64::from(width),
                "{side:?} of {width}"
            );
        }
    }
    seen
}

fn written(folder: &Folder, name: &str, args: &[&str]) -> String {
    let file = folder.file(name);
    let output = lab(&[args, &["--quiet", "--json", &file]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    file
}

fn reported(args: &[&str]) {
    let output = lab(&[&["report", "--quiet"], args].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
}

const PATHS: [&str; 12] = [
    "paths",
    "--processes",
    "1",
    "--rounds",
    "3",
    "--batch",
    "20",
    "--subscribers",
    "0,1,16",
    "--publishers",
    "1",
    "--paths=signalpost,arc-swap-cache,std-mutex",
];

#[test]
fn a_page_is_readable_in_light_and_dark_and_on_a_phone_and_loads_nothing() {
    let Some(chromium) = chromium() else { return };
    let folder = Folder::new("browser");
    let (a, b) = (written(&folder, "a.json", &PATHS), written(&folder, "b.json", &PATHS));
    reported(&[&a, "--html", &folder.file("one.html")]);
    reported(&[&a, &b, "--html", &folder.file("two.html")]);
    for page in ["one.html", "two.html"] {
        let light = look(&chromium, &folder, page, false, 1_200);
        let dark = look(&chromium, &folder, page, true, 1_200);
        assert_ne!(light["ground"], dark["ground"]);
        assert_eq!(light["charts"].as_array().unwrap().len(), 3, "a chart for each count of subscribers");
        let phone = look(&chromium, &folder, page, false, 360);
        assert!(phone["letters"].as_f64().unwrap() >= 7.0, "letters in drawings are too small: {phone}");
    }
}

#[test]
fn what_is_wrong_with_a_page_is_noticed() {
    let Some(chromium) = chromium() else { return };
    let folder = Folder::new("browser-wrong");
    let file = written(&folder, "a.json", &PATHS);
    reported(&[&file, "--html", &folder.file("right.html")]);
    let right = fs::read_to_string(folder.file("right.html")).unwrap();
    let spoilt = [
        ("an image from elsewhere", "</main>", "<img src=\"http://127.0.0.1:9/x.png\" alt=\"\"></main>"),
        ("a script", "</main>", "<script>document.title = 'x'</script></main>"),
        ("a line that is too long", "</main>", "<pre>0</pre><div style=\"width: 700px\">0</div></main>"),
        (
            "a drawing without a size",
            "svg.bars, svg.curves { display: block",
            "svg.bars, svg.curves { display: none",
        ),
        ("a head without a scope", "<th scope=\"col\">", "<th>"),
    ];
    for (what, part, instead) in spoilt {
        let wrong = right.replacen(part, instead, 1);
        assert_ne!(wrong, right, "{what}");
        fs::write(folder.file("wrong.html"), wrong).unwrap();
        let looked = panic::catch_unwind(|| look(&chromium, &folder, "wrong.html", false, 360));
        assert!(looked.is_err(), "{what} was not noticed");
    }
}

#[test]
fn percentile_curves_of_a_run_are_drawn_for_every_screen() {
    let Some(chromium) = chromium() else { return };
    let folder = Folder::new("browser-run");
    let run = [
        "run",
        "--paths",
        "signalpost,std-mutex",
        "--rate",
        "max,20k/s",
        "--repeats",
        "2",
        "--duration",
        "60ms",
        "--warmup",
        "0ms",
    ];
    let file = written(&folder, "run.json", &run);
    reported(&[&file, "--html", &folder.file("run.html")]);
    for (dark, width) in [(false, 1_200), (true, 360)] {
        let seen = look(&chromium, &folder, "run.html", dark, width);
        assert!(
            seen["lines"].as_u64().unwrap() >= 6,
            "two paths: raw in a closed loop, raw and corrected at a rate: {seen}"
        );
    }
}

#[test]
fn a_drawing_for_a_readme_is_an_image() {
    let Some(chromium) = chromium() else { return };
    let folder = Folder::new("browser-plot");
    let file = written(&folder, "a.json", &PATHS);
    reported(&[&file, "--svg", &folder.file("plot.svg")]);
    // As an image nothing of it may run or load, and one that is no XML has no size.
    let image = "<!DOCTYPE html><script>addEventListener('load', () => parent.postMessage({ \
                 width: document.images[0].naturalWidth, height: document.images[0].naturalHeight }, '*'))</script><img src=plot.svg>";
    fs::write(folder.file("image.html"), image).unwrap();
    fs::write(folder.file("frame.html"), frame("image.html", 800)).unwrap();
    let (seen, console) = visit(&chromium, &folder, "frame.html", true);
    assert_eq!(console, [""; 0]);
    assert!(seen["width"].as_u64().unwrap() > 300 && seen["height"].as_u64().unwrap() > 100, "{seen}");
}
