//! Parquet files by hand (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>), in the compact
//! protocol of Thrift: what no library writes.

const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

const PLAIN: i64 = 0;
const RLE: i64 = 3;
const RLE_DICTIONARY: i64 = 8;

/// A struct that is being written.
#[derive(Default)]
struct Struct {
    bytes: Vec<u8>,
    last: u8,
}

impl Struct {
    fn field(&mut self, id: u8, of: u8) -> &mut Vec<u8> {
        self.bytes.push((id - self.last) << 4 | of);
        self.last = id;
        &mut self.bytes
    }

    fn int(mut self, of: u8, id: u8, value: i64) -> Self {
        let zigzag = (value << 1) ^ (value >> 63);
        varint(self.field(id, of), zigzag as u64);
        self
    }

    fn i32(self, id: u8, value: i64) -> Self {
        self.int(I32, id, value)
    }

    fn i64(self, id: u8, value: i64) -> Self {
        self.int(I64, id, value)
    }

    fn text(mut self, id: u8, value: &str) -> Self {
        text(self.field(id, BINARY), value);
        self
    }

    fn inner(mut self, id: u8, value: Struct) -> Self {
        self.field(id, STRUCT).extend(value.end());
        self
    }

    fn list(mut self, id: u8, of: u8, items: &[Vec<u8>]) -> Self {
        let bytes = self.field(id, LIST);
        match items.len() {
            few @ 0..15 => bytes.push((few as u8) << 4 | of),
            many => {
                bytes.push(0xf0 | of);
                varint(bytes, many as u64);
            }
        }
        items.iter().for_each(|item| bytes.extend(item));
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn text(bytes: &mut Vec<u8>, value: &str) {
    varint(bytes, value.len() as u64);
    bytes.extend(value.as_bytes());
}

/// A page with its header.
pub(super) struct Page(Vec<u8>);

impl Page {
    fn new(kind: i64, content: &[u8], id: u8, header: Struct) -> Self {
        let size = content.len() as i64;
        let header = Struct::default().i32(1, kind).i32(2, size).i32(3, size).inner(id, header);
        Self([&header.end(), content].concat())
    }

    fn data(content: &[u8], values: i32, encoding: i64) -> Self {
        let header = Struct::default().i32(1, values.into()).i32(2, encoding).i32(3, RLE).i32(4, RLE);
        Self::new(0, content, 5, header)
    }

    fn dictionary(content: &[u8]) -> Self {
        Self::new(2, content, 7, Struct::default().i32(1, 1).i32(2, PLAIN))
    }

    /// One number, said to be so many.
    pub(super) fn plain(values: i32) -> Self {
        Self::data(&7_i64.to_le_bytes(), values, PLAIN)
    }

    pub(super) fn dictionary_of_number(value: i64) -> Self {
        Self::dictionary(&value.to_le_bytes())
    }

    pub(super) fn dictionary_of_text(value: &[u8]) -> Self {
        Self::dictionary(&[&(value.len() as u32).to_le_bytes(), value].concat())
    }

    /// The first value of the dictionary, so many times: a width of one bit, and one run.
    pub(super) fn run(values: i32) -> Self {
        let mut content = vec![1];
        varint(&mut content, (values as u64) << 1);
        content.push(0);
        Self::data(&content, values, RLE_DICTIONARY)
    }
}

/// A file with one row group at most.
pub(super) struct File {
    schema: Vec<Vec<u8>>,
    of: i64,
    pages: Vec<u8>,
    /// Where the dictionary is, if there is one, and where the data are.
    data_offset: i64,
    has_dictionary: bool,
    rows: i64,
}

impl File {
    fn new(of: i64, pages: &[Page], rows: i64) -> Self {
        let leaf = Struct::default().i32(1, of).i32(3, 0).text(4, "n");
        let leaf = if of == 6 { leaf.i32(6, 0) } else { leaf };
        let root = Struct::default().text(4, "schema").i32(5, 1);
        let has_dictionary = pages.len() > 1;
        let before = if has_dictionary { pages[0].0.len() as i64 } else { 0 };
        let bytes = pages.iter().flat_map(|page| page.0.clone()).collect();
        Self { schema: vec![root.end(), leaf.end()], of, pages: bytes, data_offset: 4 + before, has_dictionary, rows }
    }

    /// Of a column of int64.
    pub(super) fn of_numbers(pages: &[Page], rows: i64) -> Self {
        Self::new(2, pages, rows)
    }

    /// Of a column of text.
    pub(super) fn of_texts(pages: &[Page], rows: i64) -> Self {
        Self::new(6, pages, rows)
    }

    /// Of a column in so many groups, and no row.
    pub(super) fn nested(levels: usize) -> Self {
        let group = Struct::default().i32(3, 1).text(4, "g").i32(5, 1).end();
        let leaf = Struct::default().i32(1, 2).i32(3, 1).text(4, "n").end();
        let root = Struct::default().text(4, "schema").i32(5, 1).end();
        let schema = std::iter::once(root).chain(vec![group; levels]).chain([leaf]).collect();
        Self { schema, of: 0, pages: Vec::new(), data_offset: 0, has_dictionary: false, rows: 0 }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let size = self.pages.len() as i64;
        let mut name = Vec::new();
        text(&mut name, "n");
        let encodings = [PLAIN, RLE, RLE_DICTIONARY].map(|encoding| vec![(encoding << 1) as u8]);
        let column = Struct::default().i32(1, self.of).list(2, I32, &encodings).list(3, BINARY, &[name]).i32(4, 0);
        let column = column.i64(5, self.rows).i64(6, size).i64(7, size).i64(9, self.data_offset);
        let column = if self.has_dictionary { column.i64(11, 4) } else { column };
        let chunk = Struct::default().i64(2, 4).inner(3, column).end();
        let group = Struct::default().list(1, STRUCT, &[chunk]).i64(2, size).i64(3, self.rows).end();
        let groups = if self.rows > 0 { vec![group] } else { Vec::new() };
        let footer =
            Struct::default().i32(1, 1).list(2, STRUCT, &self.schema).i64(3, self.rows).list(4, STRUCT, &groups);
        assemble(&self.pages, &footer.end())
    }
}

fn assemble(pages: &[u8], footer: &[u8]) -> Vec<u8> {
    [b"PAR1", pages, footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

/// A footer whose schema is said to have 2^31 - 1 elements.
pub(super) fn endless_list() -> Vec<u8> {
    let mut footer = Struct::default().i32(1, 1);
    let bytes = footer.field(2, LIST);
    bytes.push(0xf0 | STRUCT);
    varint(bytes, i32::MAX as u64);
    assemble(b"", &footer.end())
}
