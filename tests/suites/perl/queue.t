# Thread::Queue and Thread::Semaphore, from their documentation.
use strict;
use warnings;
use threads;
use threads::shared;
use Thread::Queue;
use Thread::Semaphore;
use Test::More;

# ---- one thread ----

my $q = Thread::Queue->new(1 .. 10);
is($q->pending(), 10, 'made with ten');
is($q->peek(), 1, 'peek');
is($q->peek(-1), 10, 'peek from the end');
is($q->dequeue(), 1, 'dequeue');
is(join(',', $q->dequeue(3)), '2,3,4', 'three');
is(join(',', $q->dequeue_nb(2)), '5,6', 'dequeue_nb');
$q->enqueue('a', [1, 2], {k => 'v'});
is(join(',', $q->extract(0, 2)), '7,8', 'extract');
$q->insert(1, 'x', 'y');
is(join(',', $q->dequeue(4)), '9,x,y,10', 'insert');
is($q->dequeue(), 'a', 'scalar');
is(join(',', @{$q->dequeue()}), '1,2', 'array');
is($q->dequeue()->{k}, 'v', 'hash');
is($q->dequeue_nb(), undef, 'empty');
is($q->dequeue_timed(1), undef, 'dequeue_timed, empty'); # its clock counts whole seconds
ok(!eval { $q->dequeue(0); 1 }, 'a count of 0 is refused');
ok(!eval { $q->insert('here', 1); 1 }, 'and so is an index that is none');
$q->enqueue(1);
$q->end();
is($q->dequeue(), 1, 'what is there when it ends');
is($q->dequeue(), undef, 'then nothing');
is($q->pending(), undef, 'it has ended');
ok(!eval { $q->enqueue(2); 1 }, 'nothing more goes in');

# ---- many threads ----

{
    my $work = Thread::Queue->new();
    my $done = Thread::Queue->new();
    my @workers = map {
        threads->create(sub {
            my $n = 0;
            while (defined(my $item = $work->dequeue())) {
                $done->enqueue($item * $item);
                $n++;
            }
            return $n;
        })
    } 1 .. 10;
    $work->enqueue($_) for 1 .. 1000;
    $work->end();
    my $taken = 0;
    $taken += $_->join() for @workers;
    is($taken, 1000, 'ten workers took each item once');
    my ($sum, $count) = (0, $done->pending());
    $sum += $_ for $done->dequeue($count);
    is($sum, 333833500, 'and lost none');
}
{
    my $narrow = Thread::Queue->new();
    $narrow->limit = 3;
    my $most : shared = 0;
    my @producers = map { my $p = $_; threads->create(sub { $narrow->enqueue("$p.$_") for 1 .. 50 }) } 1 .. 4;
    my %last;
    my ($got, $disorder) = (0, 0);
    while ($got < 200) {
        my ($p, $n) = split /\./, $narrow->dequeue();
        $disorder++ if ($last{$p} // 0) >= $n;
        $last{$p} = $n;
        $got++;
    }
    $_->join() for @producers;
    is($disorder, 0, 'through a limit of 3: each producer in order');
    is($narrow->pending(), 0, 'nothing left');
}
{
    my @stage = map { Thread::Queue->new() } 0 .. 8;
    my @t = map {
        my $i = $_;
        threads->create(sub {
            while (defined(my $v = $stage[$i]->dequeue())) { $stage[$i + 1]->enqueue($v + 1) }
            $stage[$i + 1]->end();
        })
    } 0 .. 7;
    $stage[0]->enqueue($_) for 1 .. 100;
    $stage[0]->end();
    my ($sum, $n) = (0, 0);
    while (defined(my $v = $stage[8]->dequeue())) { $sum += $v; $n++ }
    $_->join() for @t;
    is("$n $sum", '100 5850', 'a pipe of eight threads');
}
{
    my $late = Thread::Queue->new();
    my $t = threads->create(sub { $late->dequeue_timed(120) });
    $late->enqueue('in time');
    is($t->join(), 'in time', 'dequeue_timed that gets something');
    my @wait = map { threads->create(sub { defined($late->dequeue()) ? 1 : 0 }) } 1 .. 10;
    $late->end();
    my $woken = 0;
    $woken += 1 - $_->join() for @wait;
    is($woken, 10, 'end wakes all who wait');
}

# ---- semaphores ----

{
    my $s = Thread::Semaphore->new(3);
    is($$s, 3, 'made with 3');
    $s->down(2);
    ok($s->down_nb(), 'down_nb');
    ok(!$s->down_nb(), 'no more');
    ok(!$s->down_timed(1), 'down_timed');
    $s->down_force();
    is($$s, -1, 'down_force goes below 0');
    $s->up(2);
    is($$s, 1, 'up');
}
{
    my $s = Thread::Semaphore->new(4);
    my ($inside, $most) : shared = (0, 0);
    $inside = $most = 0;
    my @t = map {
        threads->create(sub {
            for (1 .. 20) {
                $s->down();
                { lock($inside); $inside++; $most = $inside if $inside > $most; }
                threads->yield();
                { lock($inside); $inside--; }
                $s->up();
            }
        })
    } 1 .. 20;
    $_->join() for @t;
    ok($most <= 4, 'never more than 4 inside');
    is($inside, 0, 'all came out');
}
{
    my $ping = Thread::Semaphore->new(0);
    my $pong = Thread::Semaphore->new(0);
    my $n : shared = 0;
    my $t = threads->create(sub { for (1 .. 500) { $ping->down(); $n++; $pong->up() } });
    for (1 .. 500) { $ping->up(); $pong->down() }
    $t->join();
    is($n, 500, 'ping and pong');
}

done_testing();
