"""Many files are flushed to the disk at a time."""

import pytest

from kvproto.storage.atomic import sync_all


@pytest.mark.parametrize("n_files", [0, 1, 2, 50])
def test_files_and_directories_are_flushed(tmp_path, n_files):
    paths = [tmp_path / str(number) for number in range(n_files)]
    for path in paths:
        path.write_text("text")
    sync_all([*map(str, paths), str(tmp_path)])


@pytest.mark.parametrize("n_files", [1, 2, 20])
def test_each_file_that_cannot_be_flushed_is_an_error(tmp_path, n_files):
    paths = [tmp_path / str(number) for number in range(n_files)]
    for path in paths:
        path.write_text("text")
    for path in paths:
        path.unlink()
        with pytest.raises(FileNotFoundError) as caught:
            sync_all(list(map(str, paths)))
        assert caught.value.filename == str(path)
        path.write_text("text")
