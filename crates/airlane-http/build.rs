//! Takes the files of the interactive page out of the archive of Swagger UI, compressed as they are sent.

use std::error::Error;
use std::fs::File;
use std::io::{Cursor, copy};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = std::env::var("OUT_DIR")?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for name in FILES {
        let end = format!("/dist/{name}");
        let path = archive.file_names().flatten().find(|path| path.ends_with(&end)).map(std::borrow::Cow::into_owned);
        let path = path.ok_or_else(|| format!("the archive has no {name}"))?;
        let mut into =
            GzEncoder::new(File::create(Path::new(&folder).join(format!("{name}.gz")))?, Compression::best());
        copy(&mut archive.by_name(&path)?, &mut into)?;
        into.finish()?;
    }
    Ok(())
}
