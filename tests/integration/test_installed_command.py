"""The command as pip installs it, in a process of its own."""

from support.shared_run import knowlip


def test_the_installed_command_reports_an_error_as_a_paragraph(tmp_path):
    done = knowlip("run", "absent.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: There is no configuration absent.yaml.")
    assert "Traceback" not in done.stderr
