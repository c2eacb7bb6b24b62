//! What is seen of long work.

use crate::support::{PLAIN, plain_place};

#[test]
fn json_lines_are_cryptsetups() {
    let place = plain_place(1 << 20);
    let run = place
        .run(&format!("encrypt raw box {PLAIN} --progress-json"))
        .expect(0);
    assert!(run.stdout.is_empty());
    let lines: Vec<serde_json::Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let last = lines
        .last()
        .expect("at least the last line")
        .as_object()
        .expect("an object");
    let names: Vec<_> = last.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "device",
            "device_bytes",
            "device_size",
            "speed",
            "eta_ms",
            "time_ms"
        ]
    );
    assert_eq!(
        (&last["device"], &last["device_bytes"], &last["eta_ms"]),
        (&"raw".into(), &"1048576".into(), &"0".into())
    );
    assert!(last.values().all(serde_json::Value::is_string), "{last:?}");
    assert!(!run.stderr.contains("\": "), "compact: {}", run.stderr);
}

#[test]
fn lines_come_at_the_frequency_asked_for() {
    let place = plain_place(512);
    place.sh("truncate -s 256M sparse").expect(0);
    let run = place
        .run(&format!(
            "encrypt sparse - {PLAIN} --progress-json --progress-frequency 0.01"
        ))
        .expect(0);
    assert!(run.stderr.lines().count() > 2, "{}", run.stderr);
    let run = place
        .run(&format!(
            "encrypt sparse box {PLAIN} --progress-frequency 1000"
        ))
        .expect(0);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert!(
        lines.len() == 2
            && lines[0].starts_with("Finished, time 00m")
            && lines[0].contains(" 256 MiB written"),
        "{lines:?}"
    );
}

#[test]
fn the_end_is_one_line_that_says_what_there_is_and_silence_is_asked_for() {
    let place = plain_place(1 << 20);
    let run = place.run(&format!("encrypt raw box {PLAIN}")).expect(0);
    assert!(run.stdout.is_empty());
    assert_eq!(
        run.stderr,
        "box: plain, aes-xts-plain64, key of 512 bits, sectors of 512 bytes, 1048576 bytes (1 MiB) with 1 MiB of data; sectors: the default of plain containers\n"
    );
    let run = place.run(&format!("decrypt box back {PLAIN}")).expect(0);
    assert!(run.stdout.is_empty());
    assert_eq!(
        run.stderr,
        "back: 1048576 bytes (1 MiB), decrypted from box (plain, aes-xts-plain64, key of 512 bits, sectors of 512 bytes)\n"
    );
    let line =
        "create new --payload-size 1M --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    let run = place.run(line).expect(0);
    assert!(
        run.stderr.starts_with(
            "new: luks2, aes-xts-plain64, key of 512 bits, sectors of 4096 bytes, 17825792 bytes (17 MiB) with 1 MiB of data"
        ) && run.stderr.lines().count() == 1,
        "{}",
        run.stderr
    );
    for line in [
        format!("encrypt raw box2 {PLAIN} -q"),
        format!("decrypt box back2 {PLAIN} -q"),
        line.replace("new", "new2 -q"),
        "key add new -q --key-file key --new-keyfile raw --new-keyfile-size 8 --pbkdf-force-iterations 1000 --pbkdf pbkdf2"
            .to_owned(),
        "header backup new -q --header-backup-file saved".to_owned(),
    ] {
        let run = place.run(&line).expect(0);
        assert!(
            run.stdout.is_empty() && run.stderr.is_empty(),
            "{line}: {}{}",
            run.text(),
            run.stderr
        );
    }
}
