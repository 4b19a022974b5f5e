//! The reference contract (kvproto/conformance/CONTRACT.md) in Rust, with its standard library alone.
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

const PIECE: usize = 1 << 16;
const MAX_BYTES: u64 = 1 << 30;

type Bytes = Vec<u8>;
type Pair = (Bytes, Bytes);
type Params = BTreeMap<Bytes, Bytes>; // in ascending order of the names' bytes
/// What is wrong, for the ERR line.
type Fault = Bytes;
type Result<T> = std::result::Result<T, Fault>;

fn fault<T>(text: impl Into<String>) -> Result<T> {
    Err(text.into().into_bytes())
}

fn io_fault(doing: &str) -> impl Fn(io::Error) -> Fault + '_ {
    move |error| format!("cannot {doing}: {error}").into_bytes()
}

fn tell(tag: &str, text: &[u8]) {
    let mut lines = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        lines.extend_from_slice(format!("**<{tag}> ").as_bytes());
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    let _ = io::stderr().write_all(&lines); // nobody is left to be told
}

/// stdin and stdout, tied: stdout is flushed before its buffer of input is filled anew.
struct Driver {
    input: BufReader<File>,
    output: BufWriter<File>,
}

impl Driver {
    fn new() -> io::Result<Self> {
        let own = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().map(File::from);
        Ok(Driver {
            input: BufReader::with_capacity(PIECE, own(&io::stdin())?),
            output: BufWriter::with_capacity(PIECE, own(&io::stdout())?),
        })
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.output.write_all(data).map_err(io_fault("write"))
    }

    fn flush(&mut self) -> Result<()> {
        self.output.flush().map_err(io_fault("write"))
    }

    /// What is there of the input, at least a byte; nothing at end of file.
    fn peek(&mut self) -> Result<&[u8]> {
        if self.input.buffer().is_empty() {
            self.flush()?;
        }
        loop {
            match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(io_fault("read")(error)),
                Ok(_) => return Ok(self.input.buffer()),
            }
        }
    }

    /// Grows with what comes: a size is only the peer's word.
    fn take(&mut self, size: u64) -> Result<Bytes> {
        let size = size as usize;
        let mut data = Bytes::new();
        while data.len() < size {
            let there = self.peek()?;
            if there.is_empty() {
                return fault(format!("truncated input: {} bytes of {size}", data.len()));
            }
            let n = there.len().min(size - data.len());
            data.extend_from_slice(&there[..n]);
            self.input.consume(n);
        }
        Ok(data)
    }

    fn item(&mut self) -> Result<Bytes> {
        let mut size = [0; 4];
        size.copy_from_slice(&self.take(4)?);
        let size = u64::from(u32::from_le_bytes(size));
        if size > MAX_BYTES {
            return fault(format!("an item of {size} bytes is over the limit"));
        }
        self.take(size)
    }

    fn pair(&mut self) -> Result<Option<Pair>> {
        if self.peek()?.is_empty() {
            return Ok(None);
        }
        Ok(Some((self.item()?, self.item()?)))
    }

    /// Answer each pair, with its number.
    fn each(&mut self, mut answer: impl FnMut(&mut Self, u64, Pair) -> Result<()>) -> Result<()> {
        let mut index = 0;
        while let Some(pair) = self.pair()? {
            answer(self, index, pair)?;
            index += 1;
        }
        Ok(())
    }

    fn count(&mut self, num_pairs: usize) -> Result<()> {
        self.write(&(num_pairs as u32).to_le_bytes())
    }

    fn write_pair(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        for item in [key, value] {
            self.count(item.len())?;
            self.write(item)?;
        }
        Ok(())
    }

    fn echo(&mut self, (key, value): &Pair) -> Result<()> {
        self.count(1)?;
        self.write_pair(key, value)
    }
}

fn number(text: &[u8], what: &str) -> Result<u64> {
    if text.is_empty() || text.len() > 10 || !text.iter().all(u8::is_ascii_digit) {
        return fault(format!("{what} is no number of 1 to 10 digits"));
    }
    Ok(text.iter().fold(0, |n, digit| 10 * n + u64::from(digit - b'0')))
}

/// One half of an entry, cut from the front of what is left of the set.
fn half(left: &mut &[u8], closing: u8) -> Result<Bytes> {
    let space = match left.iter().take(11).position(|&byte| byte == b' ') {
        Some(space) => space,
        None => return fault("parameters: no size of 1 to 10 digits and a space"),
    };
    let size = number(&left[..space], "parameters: a size")? as usize;
    let rest = &left[space + 1..];
    if rest.get(size) != Some(&closing) {
        return fault("parameters: an entry is not closed as it should be");
    }
    *left = &rest[size + 1..];
    Ok(rest[..size].to_vec())
}

fn read_params(driver: &mut Driver) -> Result<Params> {
    let mut head = Bytes::new();
    loop {
        match driver.take(1)?[0] {
            b'\n' => break,
            byte => head.push(byte),
        }
        number(&head, "parameters: the total")?;
    }
    let total = number(&head, "parameters: the total")?;
    if total > MAX_BYTES {
        return fault(format!("parameters of {total} bytes are over the limit"));
    }
    let entries = driver.take(total)?;
    let mut left = &entries[..];
    let mut params = Params::new();
    while !left.is_empty() {
        let name = half(&mut left, b' ')?;
        params.insert(name, half(&mut left, b'\n')?);
    }
    Ok(params)
}

fn read_file(name: &[u8]) -> Result<Bytes> {
    if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| b"/\0".contains(byte)) {
        return fault("not the plain name of a file");
    }
    fs::read(std::ffi::OsStr::from_bytes(name)).map_err(io_fault("read the file"))
}

fn run(driver: &mut Driver, is_map: bool) -> Result<()> {
    let params = read_params(driver)?;
    let needed = |name: &str| match params.get(name.as_bytes()) {
        Some(value) => Ok(value.as_slice()),
        None => fault(format!("the parameter {name} is missing")),
    };
    let needed_number = |name: &str| match number(needed(name)?, name)? {
        n if n > u64::from(u32::MAX) => fault(format!("the parameter {name} is over 4294967295")),
        n => Ok(n),
    };
    match params.get(&b"do"[..]).map_or(&b"echo"[..], |value| value) {
        b"echo" => driver.each(|driver, _, pair| driver.echo(&pair)),
        b"hold" if is_map => driver.each(|driver, _, pair| driver.echo(&pair)),
        b"fan" => {
            let n = needed_number("n")? as usize;
            driver.each(|driver, _, (key, value)| {
                driver.count(n)?;
                (0..n).try_for_each(|_| driver.write_pair(&key, &value))
            })
        }
        b"sink" => driver.each(|driver, _, _| if is_map { driver.count(0) } else { Ok(()) }),
        b"params" => {
            let list = |driver: &mut Driver| {
                driver.count(params.len())?;
                params.iter().try_for_each(|(name, value)| driver.write_pair(name, value))
            };
            driver.each(|driver, _, _| if is_map { list(driver) } else { Ok(()) })?;
            if is_map { Ok(()) } else { list(driver) }
        }
        b"say" => {
            let text = needed("text")?;
            driver.each(|driver, index, pair| {
                tell("MSG", &[text, format!(" {index}").as_bytes()].concat());
                driver.echo(&pair)
            })
        }
        b"err" => {
            let (text, at) = (needed("text")?, needed_number("at")?);
            driver.each(|driver, index, pair| if index == at { Err(text.to_vec()) } else { driver.echo(&pair) })
        }
        b"file" => {
            let name = needed("name")?;
            let answer = (name.to_vec(), read_file(name)?);
            driver.each(|driver, _, _| driver.echo(&answer))
        }
        b"hold" => {
            let mut held = Vec::new();
            driver.each(|_, _, pair| Ok(held.push(pair)))?;
            driver.count(held.len())?;
            held.iter().try_for_each(|(key, value)| driver.write_pair(key, value))
        }
        _ => fault("do: not a thing that the contract knows"),
    }
}

fn work() -> Result<()> {
    let mode = env::args_os().skip(1).last().unwrap_or_default().into_vec();
    if mode != b"map" && mode != b"reduce" {
        return fault("the last argument is map or reduce");
    }
    let mut driver = Driver::new().map_err(io_fault("open stdin and stdout"))?;
    let outcome = run(&mut driver, mode == b"map");
    driver.flush().and(outcome)
}

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            tell("ERR", &text);
            ExitCode::FAILURE
        }
    }
}
