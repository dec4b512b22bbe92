fn main() {
    for line in std::fs::read_to_string("tests/data/expected_bits.tsv")
        .unwrap()
        .lines()
        .skip(1)
    {
        let mut parts = line.split('\t');
        let name = parts.next().unwrap();
        let want = parts.nth(2).unwrap();
        let mut r = hound::WavReader::open(format!("tests/data/{name}")).unwrap();
        let rate = r.spec().sample_rate;
        let s: Vec<i16> = r.samples::<i16>().map(|x| x.unwrap()).collect();
        let mut ws = vec![0u32; 8192];
        let iv = tr_track::Intervals::of_samples(&s, rate, &mut ws).unwrap();
        let rec = tr_track::recover(&iv);
        println!(
            "{name} n={} max={} iv={}",
            s.len(),
            s.iter().map(|x| x.unsigned_abs()).max().unwrap(),
            iv.len()
        );
        match rec {
            Ok(rec) => {
                let got = rec.bits().trimmed().expose_binary().to_string();
                println!(
                    "  got {} want {} eq {} contains {} loss {:?} conf {} range {:?}",
                    got.len(),
                    want.len(),
                    got == want,
                    got.contains(want) || want.contains(&got),
                    rec.clock_loss(),
                    rec.confidence(),
                    rec.intervals()
                );
                if got != want {
                    println!("  HEAD {:?}", &iv[..(rec.intervals().0 + 8)]);
                    println!("  {got}\n  {want}");
                    let (a, b) = rec.intervals();
                    println!("  {:?}", &iv[b.saturating_sub(10)..(b + 30).min(iv.len())]);
                    println!("{:?}", &iv[a..a + 20.min(b - a)]);
                }
            }
            Err(e) => println!("  {e}"),
        }
    }
}
