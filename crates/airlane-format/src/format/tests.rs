use super::*;

#[test]
fn formats_are_known_by_name_extension_and_media_type() {
    for (format, name, extensions) in Format::TABLE {
        assert_eq!(Format::parse(name).expect(name), format);
        assert_eq!(format.name(), name);
        for extension in extensions {
            for packed in ["", ".gz", ".ZST"] {
                let path = format!("a.b/c.{}{packed}", extension.to_uppercase());
                assert_eq!(Format::of_path(Path::new(&path)), Some(format), "{path}");
            }
        }
        for media in format.media_types() {
            assert_eq!(Format::of_media_type(&media.to_uppercase()), Some(format), "{media}");
        }
    }
    for path in ["x.txt", "csv", "x.gz", "csv.gz", ".gz"] {
        assert_eq!(Format::of_path(Path::new(path)), None, "{path}");
    }
    assert_eq!(Format::of_media_type("image/png"), None);
    let error = Format::parse("xls").expect_err("no format");
    assert_eq!(error.code(), codes::OPTION_INVALID);
    assert_eq!(error.hint_text(), Some("valid formats: csv, ndjson, json, parquet, arrow, arrows"));
}
