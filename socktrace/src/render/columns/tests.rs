use super::*;

fn listing(screen: Option<usize>, hidden: Hidden, rows: &[[&str; COUNT]]) -> String {
    let mut out = Vec::new();
    let mut listing = Listing::new(&mut out, screen, hidden);
    for row in rows {
        for (column, text) in Column::ALL.into_iter().zip(row) {
            listing.field(column).extend_from_slice(text.as_bytes());
        }
        listing.end_row().unwrap();
    }
    listing.finish().unwrap();
    String::from_utf8(out).unwrap()
}

const SHORT: [&str; COUNT] = ["", "", "tcp", "ESTAB", "0", "0", "1:", "2", "3:", "4", "", "", " x"];
const LONG: [&str; COUNT] =
    ["", "", "u_str", "UNCONN", "0", "0", "1:", "2222", "3:", "4", "", " users", ""];

#[test]
fn off_a_terminal_columns_are_as_wide_as_their_longest_field() {
    assert_eq!(
        listing(None, Hidden::default(), &[SHORT, LONG]),
        "tcp   ESTAB  0 0 1:2    3:4 x\nu_str UNCONN 0 0 1:2222 3:4 users  \n"
    );
}

#[test]
fn the_last_row_does_not_widen_its_details() {
    assert_eq!(
        listing(None, Hidden::default(), &[LONG, SHORT]),
        "u_str UNCONN 0 0 1:2222 3:4 users\ntcp   ESTAB  0 0 1:2    3:4 x\n"
    );
}

#[test]
fn hidden_columns_leave_no_trace() {
    let hidden = Hidden::default().and(Column::Netid).and(Column::Process);
    assert_eq!(listing(None, hidden, &[LONG]), "UNCONN 0 0 1:2222 3:4\n");
}

#[test]
fn on_a_terminal_each_line_is_filled() {
    for screen in [7, 11, 16, 20, 33, 60, 200] {
        let text = listing(Some(screen), Hidden::default(), &[SHORT, LONG]);
        for line in text.lines() {
            assert_eq!(line.len() % screen, 0, "width {screen}: {line:?}");
        }
    }
}

#[test]
fn what_is_held_is_bounded() {
    let mut sink = io::sink();
    let mut listing = Listing::new(&mut sink, None, Hidden::default());
    for row in 0..40 {
        let end = listing.field(Column::Ext).len() + (1 << 20);
        listing.field(Column::Ext).resize(end, row);
        listing.end_row().unwrap();
        assert!(listing.rows.text().len() <= held::BLOCKS << 20);
    }
}

#[test]
fn a_field_that_is_the_same_as_above_is_held_once() {
    let mut out = Vec::new();
    let mut listing = Listing::new(&mut out, None, Hidden::default());
    for (state, details) in
        [("ESTAB", ""), ("ESTAB", "x"), ("", "x"), ("", "y"), ("ESTAB", ""), ("LISTEN", "x")]
    {
        listing.field(Column::State).extend_from_slice(state.as_bytes());
        listing.field(Column::Ext).extend_from_slice(details.as_bytes());
        listing.end_row().unwrap();
    }
    assert_eq!(listing.rows.text(), b"ESTABxyESTABLISTENx");
    listing.finish().unwrap();
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<Vec<_>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected = [&["ESTAB"][..], &["ESTAB", "x"], &["x"], &["y"], &["ESTAB"], &["LISTEN", "x"]];
    assert_eq!(lines, expected);
}

#[test]
fn a_field_of_the_same_value_is_that_of_the_row_above() {
    let mut out = Vec::new();
    let mut listing = Listing::new(&mut out, None, Hidden::default());
    let mut row = |value: Option<u64>, text: &str| {
        let out = match value {
            Some(value) => listing.field_of(Column::State, Value(0, value)),
            None => Some(listing.field(Column::State)),
        };
        let is_written = out.map(|out| out.extend_from_slice(text.as_bytes())).is_some();
        listing.field(Column::PeerPort).push(b'.');
        listing.end_row().unwrap();
        is_written
    };
    assert!(row(Some(1), "one"));
    assert!(!row(Some(1), "never"));
    assert!(row(None, "two"));
    assert!(row(Some(1), "one"));
    assert!(row(Some(2), "two"));
    assert!(!row(Some(2), "never"));
    listing.field(Column::PeerPort).push(b'.');
    listing.end_row().unwrap();
    assert_eq!(listing.field_of(Column::Container, Value(0, 2)), None);
    assert!(listing.field_of(Column::State, Value(0, 2)).is_some());
    listing.finish().unwrap();
    let out = String::from_utf8(out).unwrap();
    let first: Vec<_> = out.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(first, ["one", "one", "two", "one", "two", "two", "."]);
}
