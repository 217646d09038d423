#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
#[tokio::main]
async fn main() {
    let mut a = std::env::args().skip(1);
    let port = a.next().unwrap();
    let dir = a.next().unwrap();
    let mut handle = airlane::server::run(airlane::server::ServerOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        port_file: Some(port.into()),
        data_dir: Some(dir.into()),
        ..Default::default()
    })
    .await
    .unwrap();
    handle.wait().await.unwrap();
}
