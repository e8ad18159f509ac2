from django.db import connection, transaction
from django.http import HttpResponse


def index(request):
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE IF NOT EXISTS visit (id INTEGER PRIMARY KEY)')
        # The first statement writes, so that two requests queue instead of failing.
        with transaction.atomic():
            cursor.execute('INSERT INTO visit DEFAULT VALUES')
            cursor.execute('SELECT count(*) FROM visit')
            visits = cursor.fetchone()[0]
    return HttpResponse(f'visit {visits}\n', content_type='text/plain')
