"""What a database needs beside questions and answers: room, backups, migrations, repair, and a look from outside."""
